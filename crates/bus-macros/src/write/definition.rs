//! The trait itself, whose futures can be sent between threads.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::{Api, Input, Procedure};

pub(super) fn write(api: &Api) -> TokenStream {
    let Api { attributes, visibility, ident, supertraits, .. } = api;
    let procedures = api.procedures.iter().map(procedure);
    quote! {
        #(#attributes)*
        #visibility trait #ident:
            #(#supertraits +)* ::core::marker::Send + ::core::marker::Sync + 'static
        {
            #(#procedures)*
        }
    }
}

fn procedure(procedure: &Procedure) -> TokenStream {
    let Procedure { attributes, ident, inputs, output, body, .. } = procedure;
    let inputs = inputs.iter().map(|input| match input {
        Input::Context(ident, kind) => quote!(#ident: #kind),
        Input::Argument(parameter) => {
            let (ident, kind) = (&parameter.ident, &parameter.kind);
            quote!(#ident: #kind)
        }
    });
    let body = match body {
        Some(body) => quote!({ async move #body }),
        None => quote!(;),
    };
    quote! {
        #(#attributes)*
        fn #ident(
            &self,
            #(#inputs),*
        ) -> impl ::core::future::Future<Output = #output> + ::core::marker::Send
        #body
    }
}
