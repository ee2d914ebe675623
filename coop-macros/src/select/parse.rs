//! Reads the arms, in source order.
//!
//! ```text
//! select  := ("biased" ";")? (clause ","?)*            the comma may be missing after a body in braces, as in `match`
//! clause  := pattern "=" operation guard? own-else? "=>" body
//!          | "default" "=>" body | "complete" "=>" body | "else" "=>" body
//!          | "killed" "(" pattern ")" "=>" body
//! guard   := ","? "if" condition
//! own-else := "else" block
//! ```
//!
//! `biased`, `default`, `killed` and `complete` are words only here, and only where `=>` (or `;`) follows: `default = op` binds a
//! variable of that name. After a mistake reading goes on with the next arm, so that one invocation's mistakes are all reported.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Block, Expr, Pat, Token, token};

use crate::diagnostics::{Diagnostics, Reported};
use crate::messages;
use crate::names::Coop;

/// One invocation, as written.
pub struct Parsed {
    pub coop: Coop,
    pub biased: bool,
    pub clauses: Vec<Clause>,
    /// Operations of arms that could not be read to their end: an expansion keeps them, for editors.
    pub fragments: Vec<Expr>,
}

/// One arm of any kind.
pub enum Clause {
    Operation(Box<Arm>),
    Default { keyword: Ident, body: Expr },
    Killed { keyword: Ident, pattern: Pat, body: Expr },
    Complete { keyword: Ident, body: Expr },
    Else { keyword: Token![else], body: Expr },
}

/// `pattern = operation, if guard else { … } => body`
pub struct Arm {
    pub pattern: Pat,
    pub operation: Expr,
    pub guard: Option<Expr>,
    pub own_else: Option<OwnElse>,
    pub body: Expr,
}

/// What an arm does when its own pattern does not match.
pub struct OwnElse {
    pub keyword: Token![else],
    pub block: Block,
}

/// Reads everything, and reports every mistake.
pub fn parse(input: TokenStream, diagnostics: &mut Diagnostics) -> Parsed {
    let mut parsed = Parsed { coop: Coop::by_default(), biased: false, clauses: Vec::new(), fragments: Vec::new() };
    let parser = |input: ParseStream| {
        parsed.coop = Coop::from_wrapper(input)?;
        Reader { input, parsed: &mut parsed, diagnostics }.read();
        Ok(())
    };
    parser.parse2(input).expect("the reader takes every token, and the wrapper macro writes `[$crate]`");
    parsed
}

struct Reader<'a, 'input> {
    input: ParseStream<'input>,
    parsed: &'a mut Parsed,
    diagnostics: &'a mut Diagnostics,
}

impl Reader<'_, '_> {
    fn read(&mut self) {
        self.parsed.biased = self.biased();
        while !self.input.is_empty() {
            match self.clause() {
                Ok(clause) => {
                    let body_ends_itself = ends_itself(clause.body());
                    self.parsed.clauses.push(clause);
                    self.comma(body_ends_itself);
                }
                Err(Reported { .. }) => self.skip_arm(),
            }
        }
    }

    /// Reads `biased;`, here or where it does not belong.
    fn biased(&mut self) -> bool {
        let is_biased = self.next_word().is_some_and(|word| word == "biased") && self.input.peek2(Token![;]);
        if is_biased {
            self.skip(2);
        }
        is_biased
    }

    fn clause(&mut self) -> Result<Clause, Reported> {
        if let Some(word) = self.next_word() {
            if word == "biased" && self.biased() {
                self.diagnostics.report(&word, messages::late_biased());
                return self.clause();
            }
            if let Some(clause) = self.keyword_clause(&word) {
                return clause;
            }
        }
        if self.input.peek(Token![else]) {
            let keyword: Token![else] = self.parse()?;
            self.keyword_arrow("else", keyword)?;
            return Ok(Clause::Else { keyword, body: self.body()? });
        }
        self.operation_arm().map(|arm| Clause::Operation(Box::new(arm)))
    }

    /// Reads `default`, `complete` or `killed`, where the word is one.
    fn keyword_clause(&mut self, word: &Ident) -> Option<Result<Clause, Reported>> {
        // `default {`, `default,`, `default call()` and a `default` at the end are that arm without its `=>`, since no pattern
        // ends there.
        let stands_alone = {
            let after = self.input.fork();
            let _ = after.call(Ident::parse_any);
            let begins_body = after.peek(syn::Ident) || after.peek(syn::Lit);
            after.peek(Token![=>]) || after.peek(Token![,]) || after.peek(Token![->]) || after.is_empty() || begins_body
        };
        let stands_before_block = self.input.peek2(token::Brace) && !self.assigned_after(2);
        match word.to_string().as_str() {
            "default" if stands_alone || stands_before_block => {
                Some(self.simple_clause(|keyword, body| Clause::Default { keyword, body }))
            }
            "complete" if stands_alone || stands_before_block => {
                Some(self.simple_clause(|keyword, body| Clause::Complete { keyword, body }))
            }
            "killed" if stands_alone || stands_before_block => {
                self.skip(1);
                Some(Err(self.diagnostics.report(word, messages::killed_without_pattern())))
            }
            "killed" if self.input.peek2(token::Paren) && !self.assigned_after(2) => Some(self.killed_clause()),
            _ => None,
        }
    }

    fn simple_clause(&mut self, make: fn(Ident, Expr) -> Clause) -> Result<Clause, Reported> {
        let keyword: Ident = self.parse()?;
        self.keyword_arrow(&keyword.to_string(), &keyword)?;
        Ok(make(keyword, self.body()?))
    }

    fn killed_clause(&mut self) -> Result<Clause, Reported> {
        let keyword: Ident = self.parse()?;
        let inside = self.parse::<Group>()?.stream();
        if inside.is_empty() {
            return Err(self.diagnostics.report(keyword, messages::killed_without_pattern()));
        }
        let pattern = Pat::parse_multi_with_leading_vert.parse2(inside).map_err(|error| self.syntax(error))?;
        self.keyword_arrow("killed(…)", &keyword)?;
        Ok(Clause::Killed { keyword, pattern, body: self.body()? })
    }

    fn operation_arm(&mut self) -> Result<Arm, Reported> {
        if self.input.peek(Token![#])
            && let Ok(attributes) = self.input.call(Attribute::parse_outer)
        {
            for attribute in attributes {
                self.diagnostics.report(attribute, messages::attribute_on_arm());
            }
        }
        let pattern = Pat::parse_multi_with_leading_vert(self.input).map_err(|error| self.syntax(error))?;
        if self.input.peek(Token![=>]) {
            return Err(self.diagnostics.report(&pattern, messages::missing_operation()));
        }
        if self.input.peek(Token![if]) {
            return Err(self.diagnostics.report(&pattern, messages::guard_before_operation()));
        }
        if !self.input.peek(Token![=]) || self.input.peek(Token![==]) {
            return Err(self.diagnostics.report(&pattern, messages::missing_equals()));
        }
        let _: Token![=] = self.parse()?;
        let operation = self.operation()?;
        match self.rest_of_arm() {
            Ok((guard, own_else, body)) => Ok(Arm { pattern, operation, guard, own_else, body }),
            Err(reported) => {
                self.parsed.fragments.push(operation);
                Err(reported)
            }
        }
    }

    /// Reads the operation. `handle { body }` is not a struct with a mistake in it, but an arm without its `=>`.
    fn operation(&mut self) -> Result<Expr, Reported> {
        let before_brace = self.input.fork();
        let without_brace = before_brace.call(Expr::parse_without_eager_brace);
        match (self.input.fork().parse::<Expr>(), without_brace) {
            (Err(_), Ok(operation)) if before_brace.peek(token::Brace) => {
                self.input.advance_to(&before_brace);
                Ok(operation)
            }
            _ => self.parse(),
        }
    }

    /// Reads what follows the operation.
    fn rest_of_arm(&mut self) -> Result<(Option<Expr>, Option<OwnElse>, Expr), Reported> {
        if self.input.peek(Token![,]) && self.input.peek2(Token![if]) {
            let _: Token![,] = self.parse()?;
        }
        let guard = match self.input.parse::<Option<Token![if]>>() {
            Ok(Some(_)) => Some(self.parse()?),
            _ => None,
        };
        let own_else = match self.input.parse::<Option<Token![else]>>() {
            Ok(Some(keyword)) => Some(OwnElse { keyword, block: self.parse()? }),
            _ => None,
        };
        self.arrow(messages::missing_arrow)?;
        Ok((guard, own_else, self.body()?))
    }

    /// Reads `=>`. Where it is missing and the body follows all the same, the arm is good enough to go on with.
    fn arrow(&mut self, message: impl FnOnce() -> messages::Message) -> Result<(), Reported> {
        if self.input.peek(Token![=>]) {
            return self.parse::<Token![=>]>().map(drop);
        }
        let reported = match self.next_token() {
            Some(token) => self.diagnostics.report(&token, message()),
            None => self.diagnostics.report_at(self.input.span(), message()),
        };
        if self.input.peek(Token![->]) {
            return self.parse::<Token![->]>().map(drop);
        }
        if self.input.peek(token::Brace) { Ok(()) } else { Err(reported) }
    }

    fn keyword_arrow(&mut self, keyword: &str, place: impl ToTokens) -> Result<(), Reported> {
        if self.input.is_empty() {
            return Err(self.diagnostics.report(place, messages::missing_keyword_arrow(keyword)));
        }
        self.arrow(|| messages::missing_keyword_arrow(keyword))
    }

    fn body(&mut self) -> Result<Expr, Reported> {
        if self.input.is_empty() || self.input.peek(Token![,]) {
            return Err(self.diagnostics.report_at(self.input.span(), messages::missing_body()));
        }
        Expr::parse_with_earlier_boundary_rule(self.input).map_err(|error| self.syntax(error))
    }

    /// Reads the comma after an arm.
    fn comma(&mut self, body_ends_itself: bool) {
        if self.input.peek(Token![,]) {
            self.skip(1);
        } else if !body_ends_itself && let Some(token) = self.next_token() {
            self.diagnostics.report(&token, messages::missing_comma());
            // The next arm may well begin here. If not, that is a consequence, and would only distract.
            let ahead = self.input.fork();
            let mut unheard = Diagnostics::default();
            let mut trial =
                Parsed { coop: self.parsed.coop.clone(), biased: false, clauses: vec![], fragments: vec![] };
            let mut reader = Reader { input: &ahead, parsed: &mut trial, diagnostics: &mut unheard };
            if reader.clause().is_err() {
                self.skip_arm();
            }
        }
    }

    /// Goes on after the next comma that separates arms, or after the next body in braces.
    fn skip_arm(&mut self) {
        let mut before_last = None;
        let mut last = None;
        while let Some(token) = self.next_token() {
            self.skip(1);
            let is_body = is_punct(&before_last, '=')
                && is_punct(&last, '>')
                && matches!(&token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
            before_last = last.replace(token);
            let guard_follows = self.input.peek(Token![if]);
            if is_body && !self.input.peek(Token![.]) && !self.input.peek(Token![?]) {
                if self.input.peek(Token![,]) {
                    self.skip(1);
                }
                return;
            }
            if is_punct(&last, ',') && !guard_follows {
                return;
            }
        }
    }

    // ---- small steps

    fn parse<T: Parse>(&mut self) -> Result<T, Reported> {
        self.input.parse().map_err(|error| self.syntax(error))
    }

    fn syntax(&mut self, error: syn::Error) -> Reported {
        self.diagnostics.report_at(error.span(), messages::syntax(&error, messages::ARM_HELP))
    }

    /// The identifier that comes next, if one does.
    fn next_word(&self) -> Option<Ident> {
        if self.input.peek(syn::Ident) { self.input.fork().parse().ok() } else { None }
    }

    fn next_token(&self) -> Option<TokenTree> {
        self.input.fork().parse().ok()
    }

    fn skip(&mut self, tokens: usize) {
        let ahead = self.input.fork();
        for _ in 0..tokens {
            let _ = ahead.parse::<TokenTree>();
        }
        self.input.advance_to(&ahead);
    }

    /// Whether a `=` that is no `=>` follows after so many tokens: what looks like a keyword is part of a pattern.
    fn assigned_after(&self, tokens: usize) -> bool {
        let ahead = self.input.fork();
        for _ in 0..tokens {
            let _ = ahead.parse::<TokenTree>();
        }
        (ahead.peek(Token![=]) && !ahead.peek(Token![=>])) || ahead.peek(Token![|])
    }
}

impl Clause {
    /// What the clause runs.
    pub fn body(&self) -> &Expr {
        match self {
            Clause::Operation(arm) => &arm.body,
            Clause::Default { body, .. }
            | Clause::Killed { body, .. }
            | Clause::Complete { body, .. }
            | Clause::Else { body, .. } => body,
        }
    }
}

/// Whether a body needs no comma after it: the rule of `match`.
fn ends_itself(body: &Expr) -> bool {
    // What comes out of a variable of a macro (`$body:block`) has braces that are not written.
    if let Expr::Group(group) = body {
        return ends_itself(&group.expr);
    }
    matches!(
        body,
        Expr::Block(_)
            | Expr::Const(_)
            | Expr::ForLoop(_)
            | Expr::If(_)
            | Expr::Loop(_)
            | Expr::Match(_)
            | Expr::TryBlock(_)
            | Expr::Unsafe(_)
            | Expr::While(_)
    )
}

fn is_punct(token: &Option<TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}
