//! The function that returns the API's schema, made once.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;

use super::{comment, default_value};
use crate::model::{Api, Parameter};
use crate::names;

pub(super) fn write(api: &Api) -> TokenStream {
    let Api { visibility, ident, name, version, .. } = api;
    let function = format_ident!("{}_schema", names::snake_case(ident));
    let documentation = format!("The schema of the API `{name}`.");
    let procedures = api.procedures.iter().map(|procedure| {
        let name = names::on_bus(&procedure.ident);
        let owner = names::of_procedure(ident, &procedure.ident, "Arguments");
        let parameters = parameters(&owner, procedure.parameters());
        let (answer, comment) = (&procedure.answer, comment(&procedure.attributes));
        quote! { .rpc::<#answer>(#name, #comment, #parameters) }
    });
    let events = api.events.iter().map(|event| {
        let name = names::on_bus(&event.ident);
        let owner = format_ident!("{}", names::camel_case(&event.ident));
        let parameters = parameters(&owner, event.parameters.iter());
        let comment = comment(&event.attributes);
        quote! { .event(#name, #comment, #parameters) }
    });
    quote! {
        #[doc = #documentation]
        #visibility fn #function() -> &'static ::tutti_bus::schema::ApiSchema {
            static SCHEMA: ::std::sync::LazyLock<::tutti_bus::schema::ApiSchema> =
                ::std::sync::LazyLock::new(|| {
                    ::tutti_bus::schema::ApiSchema::builder(#name, #version)
                        #(#procedures)*
                        #(#events)*
                        .build()
                });
            &SCHEMA
        }
    }
}

fn parameters<'a>(owner: &Ident, parameters: impl Iterator<Item = &'a Parameter>) -> TokenStream {
    let added = parameters.map(|parameter| {
        let (name, kind) = (names::on_bus(&parameter.ident), &parameter.kind);
        let added = if parameter.is_required() {
            quote!(.required::<#kind>(#name))
        } else {
            let default = default_value(owner, parameter);
            quote!(.optional::<#kind>(#name, #default))
        };
        match comment(&parameter.attributes) {
            comment if comment.is_empty() => added,
            comment => quote!(#added.describe(#name, #comment)),
        }
    });
    quote!(::tutti_bus::schema::Parameters::new() #(#added)*)
}
