//! The server: hands each call to the method of the trait that has its name.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::model::{Api, Input, Procedure};
use crate::names;

pub(super) fn write(api: &Api) -> TokenStream {
    let Api { visibility, ident, name, .. } = api;
    let server = format_ident!("{ident}Server");
    let schema = format_ident!("{}_schema", names::snake_case(ident));
    let comment = format!("Serves the API `{name}` with what implements [`{ident}`].");
    let arms = api.procedures.iter().map(|procedure| arm(api, procedure));
    quote! {
        #[doc = #comment]
        #visibility struct #server<T>(pub T);

        impl<T: #ident> ::tutti_bus::Service for #server<T> {
            fn schema(&self) -> &::tutti_bus::schema::ApiSchema {
                #schema()
            }

            fn execute<'call>(
                &'call self,
                call: ::tutti_bus::Call<'call>,
            ) -> ::tutti_bus::generated::Execution<'call> {
                match call.procedure {
                    #(#arms)*
                    _ => ::std::boxed::Box::pin(async move {
                        ::core::result::Result::Err(call.unknown())
                    }),
                }
            }
        }
    }
}

fn arm(api: &Api, procedure: &Procedure) -> TokenStream {
    let (ident, name) = (&procedure.ident, names::on_bus(&procedure.ident));
    let owner = names::of_procedure(&api.ident, ident, "Arguments");
    let api = &api.ident;
    let inputs = procedure.inputs.iter().map(|input| match input {
        Input::Context(..) => quote!(call.context),
        Input::Argument(parameter) => {
            let ident = &parameter.ident;
            quote!(arguments.#ident)
        }
    });
    let arguments = procedure.parameters().next().map_or_else(|| quote!(_), |_| quote!(arguments));
    quote! {
        #name => ::std::boxed::Box::pin(async move {
            let #arguments = call.parse::<#owner>()?;
            let answer = #api::#ident(&self.0, #(#inputs),*)
                .await
                .map_err(<::tutti_bus::Failure as ::core::convert::From<_>>::from)?;
            call.respond(&answer)
        }),
    }
}
