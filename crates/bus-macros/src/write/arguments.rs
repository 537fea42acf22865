//! A struct for the arguments of each procedure, which stands for the procedure too.

use proc_macro2::TokenStream;
use quote::quote;

use super::{default_functions, fields, serde_derives};
use crate::model::{Api, Procedure};
use crate::names;

pub(super) fn write(api: &Api) -> TokenStream {
    api.procedures.iter().map(|procedure| one(api, procedure)).collect()
}

fn one(api: &Api, procedure: &Procedure) -> TokenStream {
    let (visibility, api_name) = (&api.visibility, &api.name);
    let name = names::on_bus(&procedure.ident);
    let owner = names::of_procedure(&api.ident, &procedure.ident, "Arguments");
    let comment = format!("The arguments of `{name}` of the API `{api_name}`.");
    let derives = serde_derives(&TokenStream::new());
    let fields = fields(&owner, procedure.parameters());
    let defaults = default_functions(&owner, procedure.parameters());
    let answer = &procedure.answer;
    let timeout = match procedure.timeout.map(|timeout| timeout.as_millis() as u64) {
        Some(timeout_ms) => {
            quote!(::core::option::Option::Some(::core::time::Duration::from_millis(#timeout_ms)))
        }
        None => quote!(::core::option::Option::None),
    };
    quote! {
        #[doc = #comment]
        #derives
        #[serde(crate = "::tutti_bus::generated::serde", deny_unknown_fields)]
        #visibility struct #owner { #(#fields),* }

        #defaults

        impl ::tutti_bus::Procedure for #owner {
            type Answer = #answer;
            const API: &'static str = #api_name;
            const NAME: &'static str = #name;
            const TIMEOUT: ::core::option::Option<::core::time::Duration> = #timeout;
        }
    }
}
