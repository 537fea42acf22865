#![doc = include_str!("../README.md")]

mod derive;
mod model;
mod names;
mod read;
mod write;

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemTrait, parse_macro_input};

/// Makes a bus API of a trait. Documented in `tutti-bus`.
#[proc_macro_attribute]
pub fn api(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as read::ApiOptions);
    let item = parse_macro_input!(item as ItemTrait);
    match read::read(options, item) {
        Ok(api) => write::write(&api).into(),
        Err(error) => error.into_compile_error().into(),
    }
}

/// Makes a bus event of a struct. Documented in `tutti-bus`.
#[proc_macro_derive(Event, attributes(event))]
pub fn event(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    derive::derive(&item).unwrap_or_else(|error| error.into_compile_error()).into()
}
