//! Names on the bus and in Rust.

use proc_macro2::Ident;
use quote::format_ident;
use syn::ext::IdentExt;

/// `user_registered` as `UserRegistered`.
pub(crate) fn camel_case(ident: &Ident) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>())
    };
    on_bus(ident).split('_').filter_map(word).collect()
}

/// `UserAuth` as `user_auth`.
pub(crate) fn snake_case(ident: &Ident) -> String {
    let mut name = String::new();
    for letter in on_bus(ident).chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// The name without the `r#` that Rust may need.
pub(crate) fn on_bus(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// `Auth` and `check_password` make `AuthCheckPasswordArguments`.
pub(crate) fn of_procedure(api: &Ident, procedure: &Ident, suffix: &str) -> Ident {
    format_ident!("{}{}{}", api, camel_case(procedure), suffix, span = procedure.span())
}

/// Why `name` cannot be an API's name, if so.
pub(crate) fn api_name_problem(name: &str) -> Option<&'static str> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if name == "default" || name.starts_with("default.") {
        Some("`default` is the name of settings for all APIs: give the API another name")
    } else if name.is_empty() || !name.chars().all(allowed) {
        Some("an API's name is made of letters, digits, `.`, `_` and `-`, as in `my_company.auth`")
    } else if name.split('.').any(str::is_empty) {
        Some("each part of an API's name needs a letter or digit: no dots at the ends or in a row")
    } else {
        None
    }
}
