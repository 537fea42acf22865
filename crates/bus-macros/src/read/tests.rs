use proc_macro2::TokenStream;
use quote::quote;

use super::{ApiOptions, read};
use crate::model::Api;

fn parse(item: TokenStream) -> syn::Result<Api> {
    let options: ApiOptions = syn::parse2(quote!(name = "my.auth", version = 2))?;
    read(options, syn::parse2(item)?)
}

/// The messages, and the text each of them points at.
fn mistakes(item: TokenStream) -> Vec<(String, String)> {
    let Err(error) = parse(item) else { return Vec::new() };
    error
        .into_iter()
        .map(|error| {
            let place = error.span().source_text().unwrap_or_default();
            (error.to_string(), place)
        })
        .collect()
}

fn assert_mistake(text: &str, message: &str, place: &str) {
    let found = mistakes(text.parse().unwrap());
    let expected = [(message.to_owned(), place.to_owned())];
    assert_eq!(found, expected, "{text}");
}

#[test]
fn a_trait_is_read() {
    let api = parse(quote! {
        pub trait Auth {
            /// Doc.
            #[rpc(timeout = "1500ms")]
            async fn report(&self, context: &Context, from: Date, #[default(7)] days: u32, to: Option<Date>)
                -> Result<Report>;
            #[event]
            fn user_registered(r#type: String);
        }
    });
    let api = api.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((api.name.as_str(), api.version), ("my.auth", 2));
    let report = &api.procedures[0];
    assert_eq!(report.timeout.unwrap().as_millis(), 1500);
    let required: Vec<_> = report.parameters().map(|parameter| parameter.is_required()).collect();
    assert_eq!(required, [true, false, false]);
    assert_eq!(crate::write::comment(&report.attributes), "Doc.");
    assert_eq!(crate::names::on_bus(&api.events[0].parameters[0].ident), "type");
    assert_eq!(crate::names::camel_case(&api.events[0].ident), "UserRegistered");
}

#[test]
fn mistakes_in_procedures_are_pointed_at() {
    for (text, message, place) in [
        (
            "trait A { fn p(&self) -> Result<()>; }",
            "a procedure is an `async fn`; if this is an event, mark it `#[event]`",
            "fn",
        ),
        (
            "trait A { async fn p(&mut self) -> Result<()>; }",
            "calls run at the same time: take `&self`, and keep what changes in a lock",
            "&mut self",
        ),
        ("trait A { async fn p() -> Result<()>; }", "a procedure takes `&self` first", "p"),
        ("trait A { async fn p(self) -> Result<()>; }", "a procedure takes `&self`", "self"),
        (
            "trait A { async fn p(&self, _: u8) -> Result<()>; }",
            "an argument needs a name, by which it crosses the bus",
            "_",
        ),
        (
            "trait A { async fn p(&self, (a, b): (u8, u8)) -> Result<()>; }",
            "an argument needs a name, by which it crosses the bus",
            "(a, b)",
        ),
        (
            "trait A { async fn p(&self, name: &str) -> Result<()>; }",
            "arguments are owned, because they cross the bus: `String` instead of `&str`",
            "&str",
        ),
        (
            "trait A { async fn p(&self) -> bool; }",
            "a call can fail: return `tutti_bus::Result<…>`, with `()` in it if there is no answer",
            "bool",
        ),
        (
            "trait A { async fn p(&self); }",
            "a call can fail: return `tutti_bus::Result<…>`, with `()` in it if there is no answer",
            "p",
        ),
        (
            "trait A { async fn p(&self, a: u8, a: u8) -> Result<()>; }",
            "this name is taken by another argument",
            "a",
        ),
        (
            "trait A { async fn p<T>(&self, a: T) -> Result<()>; }",
            "a procedure has no type parameters or lifetimes",
            "<T>",
        ),
        (
            "trait A { #[rpc(timeout = \"20\")] async fn p(&self) -> Result<()>; }",
            "a time is a number and `ms`, `s`, `m` or `h`, as in \"20s\"",
            "\"20\"",
        ),
        (
            "trait A { #[rpc(priority = 1)] async fn p(&self) -> Result<()>; }",
            "only `timeout = \"20s\"` is known here",
            "priority = 1",
        ),
    ] {
        assert_mistake(text, message, place);
    }
}

#[test]
fn mistakes_in_events_are_pointed_at() {
    for (text, message, place) in [
        (
            "trait A { #[event] async fn e(); }",
            "an event is a plain `fn`: nobody waits for it",
            "async",
        ),
        (
            "trait A { #[event] fn e() -> bool; }",
            "an event has no answer; if one is wanted, it is a procedure",
            "bool",
        ),
        (
            "trait A { #[event] fn e(&self); }",
            "an event has no `self`, only its parameters",
            "&self",
        ),
        (
            "trait A { #[event] fn e() {} }",
            "an event has no body: who listens says what happens",
            "{}",
        ),
    ] {
        assert_mistake(text, message, place);
    }
}

#[test]
fn mistakes_in_names_are_pointed_at() {
    for (text, message, place) in [
        (
            "trait A { async fn _p(&self) -> Result<()>; }",
            "Python peers refuse names that begin with `_`: rename it",
            "_p",
        ),
        (
            "trait A { async fn p(&self) -> Result<()>; #[event] fn p(); }",
            "this name is taken: procedures and events share one space",
            "p",
        ),
        (
            "trait A { async fn new(&self) -> Result<()>; }",
            "the client has a function of this name: rename it",
            "new",
        ),
        (
            "trait A { type T; }",
            "an API has procedures and events only: move this elsewhere",
            "type T;",
        ),
        ("trait A<T> {}", "an API has no type parameters or lifetimes", "<T>"),
    ] {
        assert_mistake(text, message, place);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "trait A { fn _p(&mut self, _: u8); #[event] fn e(&self) -> u8; }";
    assert_eq!(mistakes(text.parse().unwrap()).len(), 6);
}

#[test]
fn options_are_checked() {
    for (options, message) in [
        ("", "say what the API is called on the bus: `name = \"my_company.auth\"`"),
        (
            "name = \"default\"",
            "`default` is the name of settings for all APIs: give the API another name",
        ),
        (
            "name = \"default.x\"",
            "`default` is the name of settings for all APIs: give the API another name",
        ),
        (
            "name = \"a:b\"",
            "an API's name is made of letters, digits, `.`, `_` and `-`, as in `my_company.auth`",
        ),
        (
            "name = \"a..b\"",
            "each part of an API's name needs a letter or digit: no dots at the ends or in a row",
        ),
        ("name = \"a\", version = 0", "a version is a number from 1 on"),
        ("name = \"a\", verison = 1", "only `name` and `version` are known here"),
    ] {
        let error = syn::parse_str::<ApiOptions>(options).err().unwrap();
        assert_eq!(error.to_string(), message, "{options}");
    }
}
