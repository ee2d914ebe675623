use quote::quote;

use super::expand;
use crate::snapshots::{assert_items, mistakes};

#[test]
fn the_signature_is_kept() {
    let item = quote! {
        /// Starts.
        fn main() -> std::io::Result<()> {
            let stop = run()?;
            stop.wait()
        }
    };
    assert_items("main", expand(quote!(stack = "1m", crate = my::coop), item));
}

#[test]
fn several_cooperators() {
    let item = quote!(
        fn main() {
            serve();
        }
    );
    assert_items("main_cooperators", expand(quote!(cooperators = 4), item.clone()));
    assert_items("main_per_core", expand(quote!(cooperators = "per-core"), item.clone()));
    for wrong in [quote!(0), quote!("all"), quote!(-1), quote!(four)] {
        let message = "`cooperators` does not take this value";
        assert_eq!(mistakes(&expand(quote!(cooperators = #wrong), item.clone())), [message], "{wrong}");
    }
}

#[test]
fn a_result_without_a_name_is_inferred() {
    assert_items(
        "main_impl",
        expand(
            quote!(),
            quote!(
                fn main() -> impl Termination {
                    ExitCode::SUCCESS
                }
            ),
        ),
    );
}

#[test]
fn every_mistake_is_reported() {
    let item = quote!(
        async fn main<T>(arguments: Vec<T>) {}
    );
    assert_eq!(
        mistakes(&expand(quote!(stck = "1m"), item)),
        [
            "`#[coop::main]` has no option `stck`",
            "`#[coop::main]` on an `async fn`: coop runs ordinary functions",
            "the function under `#[coop::main]` takes no arguments",
            "the function under `#[coop::main]` has no generic parameters",
        ]
    );
}

#[test]
fn after_a_mistake_there_is_still_a_main() {
    assert_items(
        "main_mistake",
        expand(
            quote!(),
            quote!(
                async fn main() -> u8 {
                    f().await
                }
            ),
        ),
    );
}

#[test]
fn an_await_is_reported() {
    let item = quote!(
        fn main() {
            f().await;
        }
    );
    assert_eq!(mistakes(&expand(quote!(), item)), ["`.await` in a task: coop runs ordinary functions, not futures"]);
}
