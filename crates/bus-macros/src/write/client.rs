//! The client: a method for each procedure, which returns a call that is made when it is awaited.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Type;

use super::{comments, default_value};
use crate::model::{Api, Parameter, Procedure};
use crate::{names, read};

pub(super) fn write(api: &Api) -> TokenStream {
    let visibility = &api.visibility;
    let client = format_ident!("{}Client", api.ident);
    let comment = format!("Calls the API `{}`.", api.name);
    let methods = api.procedures.iter().map(|procedure| method(api, procedure));
    let calls = api
        .procedures
        .iter()
        .filter(|procedure| has_defaults(procedure))
        .map(|procedure| call(api, procedure));
    quote! {
        #[doc = #comment]
        #[derive(::core::clone::Clone)]
        #visibility struct #client {
            bus: ::tutti_bus::Bus,
            options: ::tutti_bus::CallOptions,
        }

        impl #client {
            /// A client on this bus.
            #visibility fn new(bus: &::tutti_bus::Bus) -> Self {
                Self {
                    bus: ::core::clone::Clone::clone(bus),
                    options: ::core::default::Default::default(),
                }
            }

            /// Sets the options of all calls that are made from here on.
            #[must_use]
            #visibility fn with_options(mut self, options: ::tutti_bus::CallOptions) -> Self {
                self.options = options;
                self
            }

            #(#methods)*
        }

        #(#calls)*
    }
}

fn has_defaults(procedure: &Procedure) -> bool {
    procedure.parameters().any(|parameter| !parameter.is_required())
}

fn method(api: &Api, procedure: &Procedure) -> TokenStream {
    let (visibility, ident) = (&api.visibility, &procedure.ident);
    let arguments = names::of_procedure(&api.ident, ident, "Arguments");
    let comments = comments(&procedure.attributes);
    let required = || procedure.parameters().filter(|parameter| parameter.is_required());
    let inputs = required().map(|parameter| {
        let (ident, kind) = (&parameter.ident, input_type(&parameter.kind));
        quote!(#ident: #kind)
    });
    let fields = procedure.parameters().map(|parameter| {
        let ident = &parameter.ident;
        let value = if parameter.is_required() {
            input_value(parameter)
        } else {
            default_value(&arguments, parameter)
        };
        quote!(#ident: #value)
    });
    let call = quote! {
        ::tutti_bus::PendingCall::new(&self.bus, &self.options, #arguments { #(#fields),* })
    };
    let (kind, call) = if has_defaults(procedure) {
        let name = names::of_procedure(&api.ident, ident, "Call");
        (quote!(#name), quote!(#name(#call)))
    } else {
        (quote!(::tutti_bus::PendingCall<#arguments>), call)
    };
    quote! {
        #(#comments)*
        #visibility fn #ident(&self, #(#inputs),*) -> #kind { #call }
    }
}

/// A call of a procedure that has defaults, with a method for each argument that may be left out.
fn call(api: &Api, procedure: &Procedure) -> TokenStream {
    let visibility = &api.visibility;
    let arguments = names::of_procedure(&api.ident, &procedure.ident, "Arguments");
    let call = names::of_procedure(&api.ident, &procedure.ident, "Call");
    let comment = format!("A call of `{}`, made when it is awaited.", procedure.ident);
    let optional = || procedure.parameters().filter(|parameter| !parameter.is_required());
    let setters = optional().map(|parameter| {
        let (ident, kind) = (&parameter.ident, input_type(&parameter.kind));
        let value = input_value(parameter);
        let comment = format!("Sets `{}`.", names::on_bus(ident));
        quote! {
            #[doc = #comment]
            #[must_use]
            #visibility fn #ident(mut self, #ident: #kind) -> Self {
                self.0.arguments_mut().#ident = #value;
                self
            }
        }
    });
    let is_taken = |name| optional().any(|parameter| parameter.ident == name);
    let timeout = (!is_taken("timeout")).then(|| {
        quote! {
            /// Sets how long to wait for the answer.
            #[must_use]
            #visibility fn timeout(self, timeout: ::core::time::Duration) -> Self {
                Self(self.0.timeout(timeout))
            }
        }
    });
    let with_options = (!is_taken("with_options")).then(|| {
        quote! {
            /// Sets all options of this call.
            #[must_use]
            #visibility fn with_options(self, options: ::tutti_bus::CallOptions) -> Self {
                Self(self.0.with_options(options))
            }
        }
    });
    quote! {
        #[doc = #comment]
        #[must_use = "a call is made when it is awaited"]
        #visibility struct #call(::tutti_bus::PendingCall<#arguments>);

        impl #call { #(#setters)* #timeout #with_options }

        impl ::core::future::IntoFuture for #call {
            type Output = <::tutti_bus::PendingCall<#arguments> as ::core::future::IntoFuture>::Output;
            type IntoFuture =
                <::tutti_bus::PendingCall<#arguments> as ::core::future::IntoFuture>::IntoFuture;

            fn into_future(self) -> Self::IntoFuture {
                ::core::future::IntoFuture::into_future(self.0)
            }
        }
    }
}

/// What converts itself without a loss is taken as it is: `&str` for a `String`, a value for an `Option` of it.
fn input_type(kind: &Type) -> TokenStream {
    if converts_itself(kind) { quote!(impl ::core::convert::Into<#kind>) } else { quote!(#kind) }
}

fn input_value(parameter: &Parameter) -> TokenStream {
    let ident = &parameter.ident;
    if converts_itself(&parameter.kind) {
        quote!(::core::convert::Into::into(#ident))
    } else {
        quote!(#ident)
    }
}

fn converts_itself(kind: &Type) -> bool {
    matches!(kind, Type::Path(path) if path.path.is_ident("String")) || read::is_option(kind)
}
