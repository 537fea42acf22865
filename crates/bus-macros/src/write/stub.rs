//! The stub: serves the API in tests, with a closure for each procedure.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::model::Api;
use crate::names;

pub(super) fn write(api: &Api) -> TokenStream {
    let Api { visibility, ident, name, .. } = api;
    let stub = format_ident!("{ident}Stub");
    let schema = format_ident!("{}_schema", names::snake_case(ident));
    let comment = format!(
        "Serves the API `{name}` in tests: a closure for each procedure, and what it was called with."
    );
    let setters = api.procedures.iter().map(|procedure| {
        let procedure = &procedure.ident;
        let setter = format_ident!("on_{}", names::on_bus(procedure));
        let arguments = names::of_procedure(ident, procedure, "Arguments");
        let comment = format!("Sets what `{procedure}` answers.");
        quote! {
            #[doc = #comment]
            #[must_use]
            #visibility fn #setter(
                self,
                answer: impl ::core::ops::Fn(
                    #arguments,
                ) -> ::tutti_bus::Result<
                    <#arguments as ::tutti_bus::Procedure>::Answer,
                > + ::core::marker::Send
                + ::core::marker::Sync
                + 'static,
            ) -> Self {
                self.0.answer::<#arguments>(answer);
                self
            }
        }
    });
    quote! {
        #[doc = #comment]
        #[derive(::core::clone::Clone)]
        #visibility struct #stub(::tutti_bus::testing::Stub);

        impl #stub {
            /// A stub that answers every call with a failure, until it is told better.
            #visibility fn new() -> Self {
                Self(::tutti_bus::testing::Stub::new(#schema()))
            }

            /// The arguments of all calls of one procedure so far, the oldest first.
            #visibility fn calls<P: ::tutti_bus::Procedure>(&self) -> ::std::vec::Vec<P> {
                self.0.calls::<P>()
            }

            #(#setters)*
        }

        impl ::core::default::Default for #stub {
            fn default() -> Self {
                Self::new()
            }
        }

        impl ::tutti_bus::Service for #stub {
            fn schema(&self) -> &::tutti_bus::schema::ApiSchema {
                self.0.schema()
            }

            fn execute<'call>(
                &'call self,
                call: ::tutti_bus::Call<'call>,
            ) -> ::tutti_bus::generated::Execution<'call> {
                self.0.execute(call)
            }
        }
    }
}
