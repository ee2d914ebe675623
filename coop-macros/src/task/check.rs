//! What must hold of a task's function, and what it is called.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{FnArg, Lifetime, LitStr, PatType, Safety, Type};

use super::blocking;
use super::parse::{Level, Options};
use crate::diagnostics::Diagnostics;
use crate::function::Function;
use crate::messages::{self, Attr};
use crate::names::Coop;
use crate::walk;

/// A task, checked: what [`expand`](super::expand) works from.
pub struct Task {
    pub coop: Coop,
    pub function: Function,
    /// The name in the type namespace.
    pub type_name: Ident,
    /// The name in dumps and reports.
    pub display_name: LitStr,
    pub stack: Option<usize>,
    /// Paths to warn about.
    pub warnings: Vec<proc_macro2::TokenStream>,
    /// How much of the expansion makes sense.
    pub shape: Shape,
}

/// What can be generated beside the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Everything.
    Complete,
    /// After a mistake: the methods, which do nothing, so that callers see what they expect.
    Stubs,
    /// As stubs; and the body awaits, which compiles only in an `async fn`.
    StubsWithAwait,
    /// Nothing: the function stands where no type can stand beside it.
    FunctionOnly,
}

/// Checks everything, and reports every mistake.
pub fn check(function: Function, options: Options, diagnostics: &mut Diagnostics) -> Task {
    let free = check_place(&function, diagnostics);
    check_qualifiers(&function, diagnostics);
    check_arguments(&function, diagnostics);
    let found = walk::body(&function.statements());
    // In an `async fn`, `async` is the mistake, and it has been reported.
    let awaits = function.sig.asyncness.is_none() && !found.awaits.is_empty();
    if awaits {
        for place in &found.awaits {
            diagnostics.report(place, messages::await_in_task());
        }
    }
    for place in &found.bare_loops {
        diagnostics.report(place, messages::bare_loop());
    }
    let mut warnings = Vec::new();
    for finding in blocking::find(&found.paths) {
        match options.blocking {
            Level::Allow => {}
            Level::Warn => warnings.push(finding.warning()),
            Level::Deny => {
                diagnostics.report(finding.place(), finding.message());
            }
        }
    }

    let shape = match () {
        () if !free => Shape::FunctionOnly,
        () if awaits => Shape::StubsWithAwait,
        () if !diagnostics.is_clean() => Shape::Stubs,
        () => Shape::Complete,
    };
    let name = &function.sig.ident;
    Task {
        coop: options.coop,
        type_name: options.alias.unwrap_or_else(|| name.clone()),
        display_name: options.name.unwrap_or_else(|| LitStr::new(&name.unraw().to_string(), name.span())),
        stack: options.stack,
        warnings,
        shape,
        function,
    }
}

/// Whether the function is a free one, as far as its own tokens tell.
fn check_place(function: &Function, diagnostics: &mut Diagnostics) -> bool {
    let name = function.sig.ident.unraw().to_string();
    if let Some(receiver) = function.sig.receiver() {
        diagnostics.report(receiver, messages::method(&name));
        false
    } else if function.body.is_none() {
        diagnostics.report(&function.sig, messages::no_body(Attr::Task));
        false
    } else if let Some(place) = mention_of_self(function) {
        diagnostics.report(place, messages::associated_function(&name));
        false
    } else {
        true
    }
}

/// The first `Self` of the signature: only an associated function can have one.
fn mention_of_self(function: &Function) -> Option<Ident> {
    #[derive(Default)]
    struct First(Option<Ident>);
    impl<'ast> Visit<'ast> for First {
        fn visit_ident(&mut self, ident: &'ast Ident) {
            if ident == "Self" && self.0.is_none() {
                self.0 = Some(ident.clone());
            }
        }
    }
    let mut first = First::default();
    first.visit_signature(&function.sig);
    first.0
}

/// Reports what stands before `fn`.
fn check_qualifiers(function: &Function, diagnostics: &mut Diagnostics) {
    let sig = &function.sig;
    if let Some(place) = &sig.asyncness {
        diagnostics.report(place, messages::async_function(Attr::Task));
    }
    if let Some(place) = &sig.constness {
        diagnostics.report(place, messages::const_function(Attr::Task));
    }
    if let Some(place) = &sig.abi {
        diagnostics.report(place, messages::extern_function(Attr::Task));
    }
    if let Safety::Unsafe(place) = &sig.safety {
        diagnostics.report(place, messages::unsafe_function(Attr::Task));
    }
    if let Some(place) = &sig.variadic {
        diagnostics.report(place.dots, messages::variadic_function(Attr::Task));
    }
}

fn check_arguments(function: &Function, diagnostics: &mut Diagnostics) {
    for argument in &function.sig.inputs {
        let FnArg::Typed(argument) = argument else { continue };
        if let Some(condition) = argument.attrs.iter().find(|attr| attr.path().is_ident("cfg")) {
            diagnostics.report(condition, messages::conditional_argument(Attr::Task));
        }
        if borrows(&argument.ty) {
            let message = messages::borrowed_argument(&describe(argument), &function.sig.ident.to_string());
            diagnostics.report(&argument.ty, message);
        }
    }
}

/// How a message calls an argument.
fn describe(argument: &PatType) -> String {
    match &*argument.pat {
        syn::Pat::Ident(pattern) => format!("`{}`", pattern.ident),
        other => format!("`{}`", other.to_token_stream()),
    }
}

/// Whether a type borrows, as far as it shows: a reference or a lifetime other than `'static`.
///
/// A type with a hidden lifetime (`Ref<T>` for `Ref<'_, T>`) does not show, and is left to the borrow checker.
pub fn borrows(ty: &Type) -> bool {
    let mut search = Borrow { found: false };
    search.visit_type(ty);
    search.found
}

struct Borrow {
    found: bool,
}

impl<'ast> Visit<'ast> for Borrow {
    fn visit_type_reference(&mut self, reference: &'ast syn::TypeReference) {
        self.found |= reference.lifetime.is_none();
        visit::visit_type_reference(self, reference);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        self.found |= lifetime.ident != "static";
    }

    // What a function takes and returns is borrowed when it is called, not now; so is what `for<'a>` binds.
    fn visit_type_fn_ptr(&mut self, _: &'ast syn::TypeFnPtr) {}

    fn visit_parenthesized_generic_arguments(&mut self, _: &'ast syn::ParenthesizedGenericArguments) {}

    fn visit_trait_bound(&mut self, bound: &'ast syn::TraitBound) {
        if bound.lifetimes.is_none() {
            visit::visit_trait_bound(self, bound);
        }
    }

    // The length of an array is no borrow, whatever it computes.
    fn visit_expr(&mut self, _: &'ast syn::Expr) {}
}
