use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::Parser;

use super::{MOST_ARMS, parse};
use crate::diagnostics::Diagnostics;
use crate::snapshots::{assert_expression, messages, mistakes};

fn expand(input: TokenStream) -> TokenStream {
    super::expand(quote!([::coop] #input))
}

fn wrong(input: TokenStream) -> Vec<String> {
    mistakes(&expand(input))
}

/// Asserts that something is right, and expands to an expression.
fn right(input: TokenStream) {
    let expansion = expand(input);
    assert_eq!(messages(&expansion), [""; 0]);
    syn::Block::parse_within.parse2(expansion).expect("the expansion parses");
}

// ---- expansions

#[test]
fn one_arm() {
    assert_expression("select_one", expand(quote!(n = op::recv(&conn, &mut buf) => n?)));
}

/// It compiles where a method makes an operation; else its error has words of its own.
#[test]
fn an_operand_that_looks_like_a_finished_call() {
    assert_expression("select_called", expand(quote!(line = input.next_line() => line)));
    for operand in [quote!(conn.recv(&mut buf)?), quote!((rx.recv())), quote!(coop::sleep(limit))] {
        assert!(expand(quote!(_ = #operand => ())).to_string().contains("CalledOperand"), "{operand}");
    }
    for operand in [quote!(coop::op::after(limit)), quote!(after(limit)), quote!(&mut timer), quote!(timer)] {
        assert!(!expand(quote!(_ = #operand => ())).to_string().contains("CalledOperand"), "{operand}");
    }
}

#[test]
fn arms_with_guards_and_bodies_that_leave() {
    assert_expression(
        "select_arms",
        expand(quote! {
            biased;
            n = op::recv(&conn, &mut buf) => n?,
            got = &mut incoming, if open => { feed(got?); }
            _ = op::after(limit) if patient && open => return Ok(()),
        }),
    );
}

#[test]
fn patterns_that_may_not_match() {
    assert_expression(
        "select_else",
        expand(quote! {
            Some(job) = op::receive(&jobs) => run(job),
            Ok(n) = op::recv(&conn, &mut buf) if open else { break } => n,
            else => 0,
        }),
    );
}

#[test]
fn every_other_outcome() {
    assert_expression(
        "select_outcomes",
        expand(quote! {
            n = op::recv(&conn, &mut buf) => n,
            killed(cause) => give_up(cause),
            complete => 0,
            default => 1,
        }),
    );
}

#[test]
fn after_mistakes_the_expressions_stay() {
    assert_expression(
        "select_mistakes",
        expand(quote! {
            Some(n) = op::receive(&numbers) => n,
            m = op::recv(&conn, &mut buf)
        }),
    );
}

// ---- grammar

#[test]
fn a_body_in_braces_needs_no_comma() {
    right(quote!(a = x => {} b = y => if c { d } else { e } f = z => match g { _ => h } i = j => k));
}

#[test]
fn keywords_are_names_elsewhere() {
    right(quote!(default = x => default, killed = y => killed, complete = z => complete, biased = w => biased));
    right(quote!(killed(x) = y => x, else => 0));
    right(quote!(default { x } = y => x, else => 0));
}

#[test]
fn operations_may_be_any_expression() {
    right(quote!(a = if b { x } else { y } => 1, c = match d { _ => z } => 2, e = { f } => 3, (g, h) = i.j(k)? => l));
    right(quote!(a = f(|x| x, y) if a >= b && c => d));
}

#[test]
fn a_select_may_hold_a_select() {
    right(quote!(a = x => coop::select! { b = y => { b.await } }?, c = z => 1));
}

#[test]
fn a_guard_may_follow_a_comma_or_not() {
    let guarded = |input: TokenStream| {
        let mut diagnostics = Diagnostics::default();
        let parsed = parse::parse(quote!([::coop] #input), &mut diagnostics);
        assert!(diagnostics.is_clean());
        matches!(&parsed.clauses[0], parse::Clause::Operation(arm) if arm.guard.is_some())
    };
    assert!(guarded(quote!(a = x, if b => c)));
    assert!(guarded(quote!(a = x if b => c)));
    assert!(!guarded(quote!(a = if x { y } else { z } => c)));
}

#[test]
fn as_many_arms_as_allowed() {
    let arms = |count: usize| std::iter::repeat_n(quote!(a = x => 1,), count).collect();
    right(arms(MOST_ARMS));
    assert_eq!(wrong(arms(MOST_ARMS + 1)), ["`select!` takes at most 64 arms"]);
}

// ---- mistakes

#[test]
fn nothing_to_wait_for() {
    assert_eq!(wrong(quote!()), ["`select!` has nothing to wait for"]);
    assert_eq!(wrong(quote!(default => 1)), ["`select!` has nothing to wait for"]);
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(wrong(quote!(a = x { 1 })), ["`=>` is missing between the operation and its body"]);
    assert_eq!(wrong(quote!(a = f(x) { 1 } b = y => 2)), ["`=>` is missing between the operation and its body"]);
    assert_eq!(wrong(quote!(a = x -> 1)), ["`=>` is missing between the operation and its body"]);
    assert_eq!(wrong(quote!(a = x)), ["`=>` is missing between the operation and its body"]);
    assert_eq!(wrong(quote!(a = x => )), ["this arm has no body"]);
    assert_eq!(wrong(quote!(a = x => , b = y => 1)), ["this arm has no body"]);
    assert_eq!(wrong(quote!(a = x => 1 b = y => 2)), ["`,` is missing between two arms"]);
    assert_eq!(wrong(quote!(a f(x) => 1)), ["`=` is missing between the pattern and its operation"]);
    assert_eq!(wrong(quote!(a = x => 1, default)), ["`=>` is missing after `default`"]);
    assert_eq!(wrong(quote!(a = x => 1, default { 2 })), ["`=>` is missing after `default`"]);
    assert_eq!(wrong(quote!(a = x => 1, complete, b = y => 1)), ["`=>` is missing after `complete`"]);
    assert_eq!(wrong(quote!(a = x => 1, killed => 2)), ["`killed` does not say what to call the cause"]);
    assert_eq!(wrong(quote!(a = x => 1, killed() => 2)), ["`killed` does not say what to call the cause"]);
    assert_eq!(
        wrong(quote!(op::recv(&a, &mut b) => 1)),
        ["an arm names what it waits for and what comes of it; one of them is missing here"]
    );
}

#[test]
fn what_is_in_the_wrong_place_is_named() {
    assert_eq!(wrong(quote!(a = x => 1, biased; b = y => 2)), ["`biased;` does not come first"]);
    assert_eq!(wrong(quote!(a if c = x => 1)), ["the guard stands before the operation"]);
    assert_eq!(wrong(quote!(default => 1, a = x => 2)), ["an arm after `default`"]);
    assert_eq!(wrong(quote!(#[cfg(unix)] a = x => 1)), ["an arm takes no attributes"]);
}

#[test]
fn what_comes_twice_is_named() {
    for (clause, keyword) in [
        (quote!(default => 1), "default"),
        (quote!(killed(_) => 1), "killed"),
        (quote!(complete => 1), "complete"),
        (quote!(else => 1), "else"),
    ] {
        let input = quote!(Some(a) = x else { 0 } => a, Some(b) = x => b, else => 1, #clause, #clause);
        let expected = format!("`select!` has two `{keyword}` arms");
        let found = wrong(input);
        assert!(found.iter().all(|text| *text == expected) && !found.is_empty(), "{found:?}");
    }
}

#[test]
fn patterns_that_may_not_match_need_an_else() {
    let expected = ["this pattern may not match, and there is no `else`"];
    assert_eq!(wrong(quote!(Some(a) = x => a)), expected);
    assert_eq!(wrong(quote!(Some(a) = x else { 1 } => a, 1 = y => 2)), expected);
    assert_eq!(wrong(quote!(None = x => 1)), expected);
    right(quote!((a, _) = x => a, &b = y => b));
}

#[test]
fn an_else_that_cannot_run_is_named() {
    assert_eq!(wrong(quote!(a = x else { 1 } => a)), ["this `else` can never run: the pattern always matches"]);
    assert_eq!(wrong(quote!(a = x => a, else => 1)), ["this `else` can never run: every pattern always matches"]);
    assert_eq!(
        wrong(quote!(Some(a) = x else { 1 } => a, else => 1)),
        ["this `else` can never run: every pattern always matches"]
    );
}

#[test]
fn the_cause_is_bound_whole() {
    assert_eq!(
        wrong(quote!(a = x => 1, killed(Cause::Parent) => 2)),
        ["the pattern of `killed` does not match every cause"]
    );
    right(quote!(a = x => 1, killed(coop::Killed { cause, .. }) => 2));
}

#[test]
fn awaits_are_reported_wherever_they_stand() {
    let input = quote! {
        a = x().await => 1,
        b = y if c.await => 2,
        Some(d) = z else { e.await } => f.await,
        g = async { h.await } => |i| async move { i.await },
        killed(_) => j.await,
        default => k.await,
    };
    assert_eq!(wrong(input), ["`.await` in `select!`: coop waits on operations, not on futures"; 6]);
}

#[test]
fn a_guard_binds_nothing() {
    assert_eq!(wrong(quote!(a = x if let Some(b) = c => 1)), ["a guard is a condition, and binds nothing"]);
    assert_eq!(wrong(quote!(a = x if d && let Some(b) = c => 1)), ["a guard is a condition, and binds nothing"]);
}

#[test]
fn a_buffer_is_lent_to_one_arm() {
    let shared = |place: &str| [format!("`{place}` is lent to two arms at once")];
    assert_eq!(wrong(quote!(a = f(&c, &mut buf) => 1, b = f(&c, &mut buf) => 2)), shared("buf"));
    assert_eq!(wrong(quote!(a = f(&mut buf[..4]) => 1, b = f(&mut buf[4..]) => 2)), shared("buf"));
    assert_eq!(wrong(quote!(a = f(&mut self.x) => 1, b = f(&self.x).g() => 2)), shared("self.x"));
    assert_eq!(wrong(quote!(a = &mut handle => 1, b = &mut handle => 2)), shared("handle"));
    right(quote!(a = f(&mut self.x) => 1, b = f(&mut self.y) => 2));
    right(quote!(a = f(&buf) => 1, b = f(&buf) => 2));
    // The inner calls have returned when the wait begins.
    right(quote!(a = f(pause(&mut rng)) => 1, b = f(pause(&mut rng)) => 2));
}

#[test]
fn all_mistakes_of_one_invocation_are_reported() {
    let input = quote! {
        a op::x() => { 1 }
        b = op::y(),
        c = op::z(). => 2,
        d = op::w() => 3,
        default => 4,
        e = op::v() => 5 f = op::u() => 6
    };
    assert_eq!(
        wrong(input),
        [
            "`=` is missing between the pattern and its operation",
            "`=>` is missing between the operation and its body",
            "expected identifier or integer",
            "`,` is missing between two arms",
            "an arm after `default`",
            "an arm after `default`",
        ]
    );
}

#[test]
fn any_prefix_expands_to_something_that_parses() {
    let input = quote! {
        biased;
        Some(a) = op::x(&b, &mut c) if d else { e } => f(a),
        _ = &mut handle, if g => { h }
        killed(i) => j, complete => k, else => l, default => m,
    };
    let tokens: Vec<_> = input.into_iter().collect();
    for length in 0..tokens.len() {
        let expansion = expand(tokens[..length].iter().cloned().collect());
        syn::parse2::<syn::Expr>(expansion).expect("the expansion parses");
        let expansion = expand(tokens[length..].iter().cloned().collect());
        syn::parse2::<syn::Expr>(expansion).expect("the expansion parses");
    }
}
