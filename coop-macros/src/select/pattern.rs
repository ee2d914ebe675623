//! Which patterns always match, as far as it shows.

use syn::{Pat, Path};

/// Whether a pattern may fail to match.
///
/// A path may be a struct's or a variant's, and nothing but its name tells: every path counts as a variant, except
/// `Killed`, which is coop's own struct. A lone name counts as one when it is capitalised, as `None` is.
pub fn is_refutable(pattern: &Pat) -> bool {
    match pattern {
        Pat::Wild(_) | Pat::Rest(_) => false,
        Pat::Ident(pattern) => match &pattern.subpat {
            Some((_, inner)) => is_refutable(inner),
            None => is_capitalised(&pattern.ident.to_string()),
        },
        Pat::Paren(pattern) => is_refutable(&pattern.pat),
        Pat::Reference(pattern) => is_refutable(&pattern.pat),
        Pat::Type(pattern) => is_refutable(&pattern.pat),
        Pat::Tuple(pattern) => pattern.elems.iter().any(is_refutable),
        // One case that always matches is enough.
        Pat::Or(pattern) => pattern.cases.iter().all(is_refutable),
        Pat::Struct(pattern) => {
            !is_known_struct(&pattern.path) || pattern.fields.iter().any(|field| is_refutable(&field.pat))
        }
        // `[first, ..]` needs an element; `[..]` and `[all @ ..]` do not.
        Pat::Slice(pattern) => !matches!(pattern.elems.iter().collect::<Vec<_>>()[..], [only] if is_rest(only)),
        // Literals, ranges, paths, variants with fields, and what we know nothing of.
        _ => true,
    }
}

fn is_known_struct(path: &Path) -> bool {
    path.segments.last().is_some_and(|segment| segment.ident == "Killed")
}

fn is_rest(pattern: &Pat) -> bool {
    match pattern {
        Pat::Rest(_) => true,
        Pat::Ident(pattern) => matches!(&pattern.subpat, Some((_, inner)) if is_rest(inner)),
        _ => false,
    }
}

fn is_capitalised(name: &str) -> bool {
    name.starts_with(char::is_uppercase)
}

#[cfg(test)]
mod tests {
    use super::is_refutable;
    use syn::Pat;
    use syn::parse::Parser;

    fn refutable(text: &str) -> bool {
        is_refutable(&Pat::parse_multi_with_leading_vert.parse_str(text).expect(text))
    }

    #[test]
    fn names_and_tuples_of_names_always_match() {
        for text in ["_", "n", "mut n", "ref n", "(a, b)", "(a, _, ..)", "&a", "&(a, b)", "()", "n @ _", "(a)", "[..]"]
        {
            assert!(!refutable(text), "{text}");
        }
        assert!(!refutable("Killed { cause, .. }"));
    }

    #[test]
    fn what_names_a_variant_may_not_match() {
        for text in
            ["Some(x)", "None", "Ok(n)", "Err(_)", "1", "1..=5", "\"a\"", "[a, b]", "(a, Some(b))", "A { x }", "a::B"]
        {
            assert!(refutable(text), "{text}");
        }
        assert!(refutable("Some(1) | None"));
        assert!(refutable("n @ Some(_)"));
        assert!(refutable("Killed { cause: Cause::Deadline }"));
    }
}
