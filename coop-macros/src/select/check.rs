//! What must hold of a `select!`, as far as its tokens tell; whether an operand is an operation is the compiler's to say.

use std::collections::HashSet;

use proc_macro2::Span;
use quote::ToTokens;
use syn::{Expr, Pat};

use super::MOST_ARMS;
use super::parse::{Arm, Clause, Parsed};
use super::pattern::is_refutable;
use crate::diagnostics::Diagnostics;
use crate::names::Coop;
use crate::{messages, walk};

/// A `select!`, sorted by kind of arm: what [`expand`](super::expand) works from.
pub struct Select {
    pub coop: Coop,
    pub biased: bool,
    pub arms: Vec<Arm>,
    pub default: Option<Expr>,
    pub killed: Option<(Pat, Expr)>,
    pub complete: Option<Expr>,
    /// The `else` for every arm that has none of its own.
    pub shared_else: Option<Expr>,
    pub fragments: Vec<Expr>,
}

impl Select {
    /// Whether an arm's pattern may fail, and the arm does not say itself what happens then.
    pub fn needs_shared_else(arm: &Arm) -> bool {
        arm.own_else.is_none() && is_refutable(&arm.pattern)
    }
}

/// Checks everything, and reports every mistake.
pub fn check(parsed: Parsed, diagnostics: &mut Diagnostics) -> Select {
    // What could not be read may have been an arm, or the `else`: do not complain that it is missing.
    let all_read = diagnostics.is_clean();
    for clause in &parsed.clauses {
        check_awaits(clause, diagnostics);
    }
    let (select, shared_else) = sort(parsed, diagnostics);
    if select.arms.is_empty() && all_read {
        diagnostics.report_at(Span::call_site(), messages::select_without_arms());
    }
    if let Some(arm) = select.arms.get(MOST_ARMS) {
        diagnostics.report(&arm.pattern, messages::too_many_arms(MOST_ARMS));
    }
    check_guards(&select.arms, diagnostics);
    check_patterns(&select, shared_else, all_read, diagnostics);
    check_buffers(&select.arms, diagnostics);
    select
}

/// Sorts the clauses, and reports those that come twice or too late. Also gives the keyword of the shared `else`.
fn sort(parsed: Parsed, diagnostics: &mut Diagnostics) -> (Select, Option<syn::Token![else]>) {
    let mut select = Select {
        coop: parsed.coop,
        biased: parsed.biased,
        arms: Vec::new(),
        default: None,
        killed: None,
        complete: None,
        shared_else: None,
        fragments: parsed.fragments,
    };
    let mut shared_else = None;
    for clause in parsed.clauses {
        match clause {
            Clause::Operation(arm) => {
                if select.default.is_some() {
                    diagnostics.report(&arm.pattern, messages::arm_after_default());
                }
                select.arms.push(*arm);
            }
            Clause::Default { keyword, body } => once(&mut select.default, body, &keyword, diagnostics),
            Clause::Killed { keyword, pattern, body } => {
                once(&mut select.killed, (pattern, body), &keyword, diagnostics);
            }
            Clause::Complete { keyword, body } => once(&mut select.complete, body, &keyword, diagnostics),
            Clause::Else { keyword, body } => {
                once(&mut select.shared_else, body, &keyword, diagnostics);
                shared_else.get_or_insert(keyword);
            }
        }
    }
    (select, shared_else)
}

fn once<T>(slot: &mut Option<T>, value: T, keyword: &impl ToTokens, diagnostics: &mut Diagnostics) {
    if slot.is_some() {
        let text = keyword.to_token_stream().to_string();
        diagnostics.report(keyword, messages::repeated_clause(&text));
    } else {
        *slot = Some(value);
    }
}

fn check_awaits(clause: &Clause, diagnostics: &mut Diagnostics) {
    let mut expressions = vec![clause.body()];
    if let Clause::Operation(arm) = clause {
        expressions.splice(0..0, arm.guard.iter().chain([&arm.operation]));
    }
    for expression in expressions {
        for place in walk::expression(expression).awaits {
            diagnostics.report(place, messages::await_in_select());
        }
    }
    if let Clause::Operation(arm) = clause
        && let Some(own) = &arm.own_else
    {
        for place in walk::body(&own.block.stmts.iter().map(ToTokens::to_token_stream).collect()).awaits {
            diagnostics.report(place, messages::await_in_select());
        }
    }
}

fn check_guards(arms: &[Arm], diagnostics: &mut Diagnostics) {
    /// The `let`s of a chain of conditions.
    fn lets(condition: &Expr) -> Vec<&Expr> {
        match condition {
            Expr::Let(_) => vec![condition],
            Expr::Binary(binary) => [lets(&binary.left), lets(&binary.right)].concat(),
            _ => Vec::new(),
        }
    }
    for guard in arms.iter().filter_map(|arm| arm.guard.as_ref()) {
        for place in lets(guard) {
            diagnostics.report(place, messages::let_in_guard());
        }
    }
}

fn check_patterns(
    select: &Select,
    shared_else: Option<syn::Token![else]>,
    all_read: bool,
    diagnostics: &mut Diagnostics,
) {
    for arm in &select.arms {
        match &arm.own_else {
            Some(own) if !is_refutable(&arm.pattern) => {
                diagnostics.report(own.keyword, messages::own_else_on_irrefutable());
            }
            None if Select::needs_shared_else(arm) && shared_else.is_none() && all_read => {
                diagnostics.report(&arm.pattern, messages::refutable_without_else());
            }
            _ => {}
        }
    }
    if let Some(keyword) = shared_else
        && all_read
        && !select.arms.iter().any(Select::needs_shared_else)
    {
        diagnostics.report(keyword, messages::else_without_refutable());
    }
    if let Some((pattern, _)) = &select.killed
        && is_refutable(pattern)
    {
        diagnostics.report(pattern, messages::refutable_killed());
    }
}

/// Reports what two arms borrow in a way that excludes the other, where it shows: directly as an argument of the operation, or
/// as a Handle. The borrow checker would say the same of the generated call, in words that do not name an arm.
fn check_buffers(arms: &[Arm], diagnostics: &mut Diagnostics) {
    let mut lent: HashSet<String> = HashSet::new();
    let mut lent_mutably: HashSet<String> = HashSet::new();
    for arm in arms {
        let places: Vec<Lent> = lends(&arm.operation);
        for place in &places {
            let clashes = if place.mutably { &lent } else { &lent_mutably };
            if clashes.contains(&place.text) {
                diagnostics.report(place.expr, messages::shared_buffer(&place.text));
            }
        }
        for place in places {
            if place.mutably {
                lent_mutably.insert(place.text.clone());
            }
            lent.insert(place.text);
        }
    }
}

/// A place that an operation borrows.
struct Lent<'a> {
    expr: &'a Expr,
    text: String,
    mutably: bool,
}

/// What an operation borrows as long as it lives. Of `op::after(pause(&mut rng))` nothing: the inner call has returned by then.
fn lends(operation: &Expr) -> Vec<Lent<'_>> {
    match operation {
        Expr::Reference(reference) => place(&reference.expr)
            .map(|text| Lent { expr: operation, text, mutably: reference.mutability.is_some() })
            .into_iter()
            .collect(),
        Expr::Call(call) => call.args.iter().filter(|arg| matches!(arg, Expr::Reference(_))).flat_map(lends).collect(),
        Expr::MethodCall(call) => lends(&call.receiver),
        Expr::Paren(paren) => lends(&paren.expr),
        _ => Vec::new(),
    }
}

/// The text of a variable or a field. An element or a range of one stands for the whole: borrowing it borrows the rest too.
fn place(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Path(path) => path.path.get_ident().map(ToString::to_string),
        Expr::Field(field) => {
            let base = place(&field.base)?;
            Some(format!("{base}.{}", field.member.to_token_stream()))
        }
        Expr::Index(index) => place(&index.expr),
        Expr::Paren(paren) => place(&paren.expr),
        _ => None,
    }
}
