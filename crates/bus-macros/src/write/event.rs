//! A struct for each event.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::{comments, default_functions, fields, serde_derives};
use crate::model::{Api, Event};
use crate::names;

pub(super) fn write(api: &Api) -> TokenStream {
    api.events.iter().map(|event| one(api, event)).collect()
}

fn one(api: &Api, event: &Event) -> TokenStream {
    let (visibility, api_name, version) = (&api.visibility, &api.name, api.version);
    let Event { attributes, ident, parameters } = event;
    let name = names::on_bus(ident);
    let owner = format_ident!("{}", names::camel_case(ident), span = ident.span());
    let comment = format!("The event `{name}` of the API `{api_name}`.");
    let comment = comments(attributes).next().is_none().then(|| quote!(#[doc = #comment]));
    let derives = serde_derives(&quote!(::core::clone::Clone, ::core::fmt::Debug,));
    let fields = fields(&owner, parameters.iter());
    let defaults = default_functions(&owner, parameters.iter());
    let schema = format_ident!("{}_schema", names::snake_case(&api.ident));
    quote! {
        #comment
        #(#attributes)*
        #derives
        #[serde(crate = "::tutti_bus::generated::serde")]
        #visibility struct #owner { #(#fields),* }

        #defaults

        impl ::tutti_bus::Event for #owner {
            const API: &'static str = #api_name;
            const NAME: &'static str = #name;
            const VERSION: u32 = #version;

            fn schema() -> &'static ::tutti_bus::schema::ApiSchema {
                #schema()
            }
        }
    }
}
