//! Looks through a body for what must not stand in a task.
//!
//! The walk stays in code that runs on the task's own stack, now: it does not enter `async` blocks, closures or nested items,
//! whose code may well run elsewhere. Arguments of macros are tokens to us and are not entered either; `select!` and the others
//! check their own.

use proc_macro2::TokenStream;
use syn::parse::{ParseStream, Parser};
use syn::visit::{self, Visit};
use syn::{Block, Expr, ExprLoop, Path, Stmt, Token};

/// What a walk found, in source order.
#[derive(Default)]
pub struct Found {
    /// The `await` of each `.await`.
    pub awaits: Vec<Token![await]>,
    /// Each `loop {}` without a body.
    pub bare_loops: Vec<ExprLoop>,
    /// Each path used as a value: the candidates for blocking calls.
    pub paths: Vec<Path>,
}

/// Walks through a function's body, given as the tokens between its braces.
///
/// A body that does not parse is not walked: the compiler sees the same tokens and says what is wrong with them better than we do.
pub fn body(tokens: &TokenStream) -> Found {
    let mut found = Found::default();
    // Inner attributes belong to the function; statements begin after them.
    let parser = |input: ParseStream| {
        input.call(syn::Attribute::parse_inner)?;
        input.call(Block::parse_within)
    };
    for statement in parser.parse2(tokens.clone()).unwrap_or_default() {
        found.visit_stmt(&statement);
    }
    found
}

/// Walks through one expression.
pub fn expression(expr: &Expr) -> Found {
    let mut found = Found::default();
    found.visit_expr(expr);
    found
}

impl<'ast> Visit<'ast> for Found {
    fn visit_expr_await(&mut self, expr: &'ast syn::ExprAwait) {
        visit::visit_expr_await(self, expr);
        self.awaits.push(expr.await_token);
    }

    fn visit_expr_loop(&mut self, expr: &'ast ExprLoop) {
        if expr.body.stmts.is_empty() {
            self.bare_loops.push(expr.clone());
        }
        visit::visit_expr_loop(self, expr);
    }

    fn visit_expr_path(&mut self, expr: &'ast syn::ExprPath) {
        if expr.qself.is_none() {
            self.paths.push(expr.path.clone());
        }
    }

    fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {}

    fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if !matches!(statement, Stmt::Item(_)) {
            visit::visit_stmt(self, statement);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::body;
    use quote::quote;

    #[test]
    fn the_walk_stays_on_the_tasks_stack() {
        let found = body(&quote! {
            a.await;
            let f = async { b.await };
            let g = async || c.await;
            let h = || loop {};
            async fn nested() { d.await; loop {} }
            if x.await { loop {} }
        });
        assert_eq!(found.awaits.len(), 2);
        assert_eq!(found.bare_loops.len(), 1);
    }

    #[test]
    fn a_loop_with_a_body_is_not_bare() {
        assert!(
            body(&quote!(loop {
                step()?;
            }))
            .bare_loops
            .is_empty()
        );
    }

    #[test]
    fn a_body_that_does_not_parse_is_left_to_the_compiler() {
        assert!(body(&quote!(a.await; let = ;)).awaits.is_empty());
    }
}
