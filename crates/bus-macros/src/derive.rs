//! `#[derive(Event)]`: an event that is no part of a trait, for teams that only publish.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, LitInt, LitStr, Result};

use crate::{names, read, write};

pub(crate) fn derive(item: &DeriveInput) -> Result<TokenStream> {
    check_shape(item)?;
    let Options { api, name, version } = read_options(item)?;
    let (ident, comment) = (&item.ident, write::comment(&item.attrs));
    Ok(quote! {
        impl ::tutti_bus::Event for #ident {
            const API: &'static str = #api;
            const NAME: &'static str = #name;
            const VERSION: u32 = #version;

            fn schema() -> &'static ::tutti_bus::schema::ApiSchema {
                static SCHEMA: ::std::sync::LazyLock<::tutti_bus::schema::ApiSchema> =
                    ::std::sync::LazyLock::new(|| {
                        let parameters = ::tutti_bus::schema::Parameters::of::<#ident>();
                        ::tutti_bus::schema::ApiSchema::builder(#api, #version)
                            .event(#name, #comment, parameters)
                            .build()
                    });
                &SCHEMA
            }
        }
    })
}

struct Options {
    api: String,
    name: String,
    version: u32,
}

fn check_shape(item: &DeriveInput) -> Result<()> {
    if !item.generics.params.is_empty() {
        let what = "an event has no type parameters or lifetimes";
        return Err(Error::new_spanned(&item.generics, what));
    }
    match &item.data {
        Data::Struct(data) if matches!(data.fields, Fields::Named(_)) => Ok(()),
        _ => {
            let what = "an event is a struct with named fields: its parameters; \
                        with none, write `struct Name {}`";
            Err(Error::new(item.ident.span(), what))
        }
    }
}

fn read_options(item: &DeriveInput) -> Result<Options> {
    let (mut api, mut name, mut version) = (None, names::snake_case(&item.ident), 1);
    for attribute in item.attrs.iter().filter(|attribute| attribute.path().is_ident("event")) {
        attribute.parse_nested_meta(|option| {
            if option.path.is_ident("api") {
                api = Some(option.value()?.parse::<LitStr>()?);
            } else if option.path.is_ident("name") {
                name = option.value()?.parse::<LitStr>()?.value();
            } else if option.path.is_ident("version") {
                version = read::read_version(&option.value()?.parse::<LitInt>()?)?;
            } else {
                return Err(option.error("only `api`, `name` and `version` are known here"));
            }
            Ok(())
        })?;
    }
    let Some(api) = api else {
        let what = r#"say whose event it is: `#[event(api = "my_company.auth")]`"#;
        return Err(Error::new(item.ident.span(), what));
    };
    if let Some(problem) = names::api_name_problem(&api.value()) {
        return Err(Error::new(api.span(), problem));
    }
    if name.is_empty() || name.starts_with('_') {
        let what = "Python peers refuse names that begin with `_`: set another with `name = \"…\"`";
        return Err(Error::new(item.ident.span(), what));
    }
    Ok(Options { api: api.value(), name, version })
}
