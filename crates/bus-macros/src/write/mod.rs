//! From the [model](crate::model) to Rust: each part of what is generated in a file of its own.

mod arguments;
mod client;
mod definition;
mod event;
mod schema;
mod server;
mod stub;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, Expr, ExprLit, Ident, Lit, Meta};

use crate::model::{Api, Parameter, ParameterDefault};
use crate::names;

/// Everything that an API's trait stands for.
pub(crate) fn write(api: &Api) -> TokenStream {
    let parts = [
        definition::write(api),
        arguments::write(api),
        event::write(api),
        schema::write(api),
        client::write(api),
        server::write(api),
        stub::write(api),
    ];
    quote! { #(#parts)* }
}

/// What the comments in `attributes` say, as one text.
pub(crate) fn comment(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) => Some(line.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

fn comments(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("doc"))
}

/// The parameters as fields of a struct called `owner`, for serde.
fn fields<'a>(
    owner: &'a Ident,
    parameters: impl Iterator<Item = &'a Parameter> + 'a,
) -> impl Iterator<Item = TokenStream> + 'a {
    parameters.map(move |parameter| {
        let Parameter { attributes, ident, kind, default } = parameter;
        let serde = match default {
            ParameterDefault::Required => None,
            ParameterDefault::Nothing => Some(quote!(#[serde(default)])),
            ParameterDefault::Value(_) => {
                let path = format!("{owner}::{}", default_function(parameter));
                Some(quote!(#[serde(default = #path)]))
            }
        };
        let comment = format!("`{}`", names::on_bus(ident));
        let comment = comments(attributes).next().is_none().then(|| quote!(#[doc = #comment]));
        quote! { #comment #(#attributes)* #serde pub #ident: #kind }
    })
}

/// Functions of `owner` that say what its parameters are if they are not given.
fn default_functions<'a>(
    owner: &Ident,
    parameters: impl Iterator<Item = &'a Parameter>,
) -> TokenStream {
    let functions = parameters.filter_map(|parameter| {
        let ParameterDefault::Value(value) = &parameter.default else { return None };
        let (name, kind) = (default_function(parameter), &parameter.kind);
        let value = match &**value {
            Expr::Lit(ExprLit { lit: Lit::Str(_), .. }) => {
                quote!(::core::convert::Into::into(#value))
            }
            value => quote!(#value),
        };
        Some(quote! { fn #name() -> #kind { #value } })
    });
    quote! { impl #owner { #(#functions)* } }
}

fn default_function(parameter: &Parameter) -> Ident {
    format_ident!("default_{}", names::on_bus(&parameter.ident))
}

/// The default of a parameter that has one, as an expression.
fn default_value(owner: &Ident, parameter: &Parameter) -> TokenStream {
    match &parameter.default {
        ParameterDefault::Value(_) => {
            let function = default_function(parameter);
            quote!(#owner::#function())
        }
        ParameterDefault::Required | ParameterDefault::Nothing => {
            let kind = &parameter.kind;
            quote!(<#kind as ::core::default::Default>::default())
        }
    }
}

fn serde_derives(others: &TokenStream) -> TokenStream {
    quote! {
        #[derive(
            #others
            ::tutti_bus::generated::serde::Serialize,
            ::tutti_bus::generated::serde::Deserialize,
        )]
    }
}
