//! From the trait as written to the [model](crate::model), or to an error at the place that says what to do.

use std::collections::HashMap;
use std::time::Duration;

use proc_macro2::{Ident, Span};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Expr, ExprLit, FnArg, GenericArgument, ItemTrait, Lit, LitInt, LitStr, Pat,
    PathArguments, Result, ReturnType, Token, TraitItem, TraitItemFn, Type,
};

use crate::model::{Api, Event, Input, Parameter, ParameterDefault, Procedure};
use crate::names;

/// Functions that every client has.
const CLIENT_FUNCTIONS: [&str; 2] = ["new", "with_options"];

/// What stands in `#[api(…)]`.
pub(crate) struct ApiOptions {
    name: LitStr,
    version: u32,
}

impl Parse for ApiOptions {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let (mut name, mut version) = (None, 1);
        let place = input.span();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            match key.to_string().as_str() {
                "name" => name = Some(input.parse::<LitStr>()?),
                "version" => version = read_version(&input.parse()?)?,
                _ => {
                    return Err(Error::new(key.span(), "only `name` and `version` are known here"));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let missing = r#"say what the API is called on the bus: `name = "my_company.auth"`"#;
        let name = name.ok_or_else(|| Error::new(place, missing))?;
        match names::api_name_problem(&name.value()) {
            Some(problem) => Err(Error::new(name.span(), problem)),
            None => Ok(Self { name, version }),
        }
    }
}

pub(crate) fn read_version(version: &LitInt) -> Result<u32> {
    match version.base10_parse() {
        Ok(0) | Err(_) => Err(Error::new(version.span(), "a version is a number from 1 on")),
        Ok(version) => Ok(version),
    }
}

/// Reads the whole trait; all its mistakes are told at once.
pub(crate) fn read(options: ApiOptions, item: ItemTrait) -> Result<Api> {
    let mut mistakes = Mistakes::default();
    if !item.generics.params.is_empty() {
        mistakes.add(item.generics.span(), "an API has no type parameters or lifetimes");
    }
    let (mut procedures, mut events) = (Vec::new(), Vec::new());
    for member in item.items {
        let TraitItem::Fn(function) = member else {
            mistakes
                .add(member.span(), "an API has procedures and events only: move this elsewhere");
            continue;
        };
        let is_event = function.attrs.iter().any(|attribute| attribute.path().is_ident("event"));
        if is_event {
            events.extend(mistakes.keep(read_event(function)));
        } else {
            procedures.extend(mistakes.keep(read_procedure(function)));
        }
    }
    check_names(&procedures, &events, &mut mistakes);
    mistakes.into_result(Api {
        attributes: item.attrs,
        visibility: item.vis,
        ident: item.ident,
        supertraits: item.supertraits.into_iter().collect(),
        name: options.name.value(),
        version: options.version,
        procedures,
        events,
    })
}

fn check_names(procedures: &[Procedure], events: &[Event], mistakes: &mut Mistakes) {
    let procedures = procedures.iter().map(|procedure| &procedure.ident);
    let mut seen = HashMap::new();
    for ident in procedures.chain(events.iter().map(|event| &event.ident)) {
        let name = names::on_bus(ident);
        if name.starts_with('_') {
            mistakes.add(ident.span(), "Python peers refuse names that begin with `_`: rename it");
        }
        if CLIENT_FUNCTIONS.contains(&name.as_str()) {
            mistakes.add(ident.span(), "the client has a function of this name: rename it");
        }
        if seen.insert(name, ()).is_some() {
            mistakes.add(ident.span(), "this name is taken: procedures and events share one space");
        }
    }
}

fn read_procedure(function: TraitItemFn) -> Result<Procedure> {
    let mut mistakes = Mistakes::default();
    let signature = function.sig;
    if signature.asyncness.is_none() {
        let what = "a procedure is an `async fn`; if this is an event, mark it `#[event]`";
        mistakes.add(signature.fn_token.span(), what);
    }
    if !signature.generics.params.is_empty() {
        mistakes.add(signature.generics.span(), "a procedure has no type parameters or lifetimes");
    }
    check_receiver(signature.receiver(), signature.ident.span(), &mut mistakes);
    let (attributes, timeout) = mistakes.keep(take_rpc(function.attrs)).unwrap_or_default();
    let mut inputs = Vec::new();
    for input in signature.inputs {
        if let FnArg::Typed(argument) = input {
            inputs.extend(mistakes.keep(read_input(argument)));
        }
    }
    let output = mistakes.keep(read_output(signature.output, signature.ident.span()));
    check_parameter_names(inputs.iter().filter_map(argument), &mut mistakes);
    let (output, answer) = output.unwrap_or_else(|| (Type::Verbatim(Default::default()), unit()));
    mistakes.into_result(Procedure {
        attributes,
        ident: signature.ident,
        inputs,
        output,
        answer,
        body: function.default,
        timeout,
    })
}

fn argument(input: &Input) -> Option<&Parameter> {
    match input {
        Input::Argument(parameter) => Some(parameter),
        Input::Context(..) => None,
    }
}

fn unit() -> Type {
    syn::parse_quote!(())
}

fn check_receiver(receiver: Option<&syn::Receiver>, place: Span, mistakes: &mut Mistakes) {
    match receiver {
        None => mistakes.add(place, "a procedure takes `&self` first"),
        Some(receiver) if receiver.mutability.is_some() => {
            let what = "calls run at the same time: take `&self`, and keep what changes in a lock";
            mistakes.add(receiver.span(), what);
        }
        Some(receiver) if receiver.reference.is_none() || receiver.colon_token.is_some() => {
            mistakes.add(receiver.span(), "a procedure takes `&self`");
        }
        Some(_) => {}
    }
}

fn read_input(argument: syn::PatType) -> Result<Input> {
    if let (Type::Reference(reference), Pat::Ident(pattern)) = (&*argument.ty, &*argument.pat)
        && last_segment(&reference.elem).is_some_and(|segment| segment.ident == "Context")
    {
        return Ok(Input::Context(pattern.ident.clone(), argument.ty));
    }
    read_parameter(argument).map(|parameter| Input::Argument(Box::new(parameter)))
}

fn read_parameter(argument: syn::PatType) -> Result<Parameter> {
    let unnamed = "an argument needs a name, by which it crosses the bus";
    let ident = match *argument.pat {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
            pattern.ident
        }
        other => return Err(Error::new(other.span(), unnamed)),
    };
    if let Type::Reference(reference) = &*argument.ty {
        let what = "arguments are owned, because they cross the bus: `String` instead of `&str`";
        return Err(Error::new(reference.span(), what));
    }
    let (attributes, default) = take_default(argument.attrs, &argument.ty)?;
    Ok(Parameter { attributes, ident, kind: *argument.ty, default })
}

fn take_default(
    attributes: Vec<Attribute>,
    kind: &Type,
) -> Result<(Vec<Attribute>, ParameterDefault)> {
    let (defaults, attributes): (Vec<_>, Vec<_>) =
        attributes.into_iter().partition(|attribute| attribute.path().is_ident("default"));
    let default = match defaults.as_slice() {
        [] if is_option(kind) => ParameterDefault::Nothing,
        [] => ParameterDefault::Required,
        [default] => ParameterDefault::Value(Box::new(default.parse_args()?)),
        [_, second, ..] => return Err(Error::new(second.span(), "one default is enough")),
    };
    Ok((attributes, default))
}

fn read_output(output: ReturnType, place: Span) -> Result<(Type, Type)> {
    let what =
        "a call can fail: return `tutti_bus::Result<…>`, with `()` in it if there is no answer";
    let ReturnType::Type(_, output) = output else { return Err(Error::new(place, what)) };
    let answer = last_segment(&output)
        .filter(|segment| segment.ident == "Result")
        .and_then(|segment| match &segment.arguments {
            PathArguments::AngleBracketed(arguments) => arguments.args.first(),
            _ => None,
        })
        .and_then(|argument| match argument {
            GenericArgument::Type(answer) => Some(answer.clone()),
            _ => None,
        });
    answer.map(|answer| (*output.clone(), answer)).ok_or_else(|| Error::new(output.span(), what))
}

fn read_event(function: TraitItemFn) -> Result<Event> {
    let mut mistakes = Mistakes::default();
    let signature = function.sig;
    if let Some(asyncness) = signature.asyncness {
        mistakes.add(asyncness.span(), "an event is a plain `fn`: nobody waits for it");
    }
    if let ReturnType::Type(_, output) = &signature.output {
        mistakes.add(output.span(), "an event has no answer; if one is wanted, it is a procedure");
    }
    if let Some(receiver) = signature.receiver() {
        mistakes.add(receiver.span(), "an event has no `self`, only its parameters");
    }
    if let Some(body) = function.default {
        mistakes.add(body.span(), "an event has no body: who listens says what happens");
    }
    if !signature.generics.params.is_empty() {
        mistakes.add(signature.generics.span(), "an event has no type parameters or lifetimes");
    }
    let mut parameters = Vec::new();
    for input in signature.inputs {
        if let FnArg::Typed(argument) = input {
            parameters.extend(mistakes.keep(read_parameter(argument)));
        }
    }
    check_parameter_names(parameters.iter(), &mut mistakes);
    let attributes = function.attrs;
    let attributes =
        attributes.into_iter().filter(|attribute| !attribute.path().is_ident("event")).collect();
    mistakes.into_result(Event { attributes, ident: signature.ident, parameters })
}

fn check_parameter_names<'a>(
    parameters: impl Iterator<Item = &'a Parameter>,
    mistakes: &mut Mistakes,
) {
    let mut seen = HashMap::new();
    for parameter in parameters {
        if seen.insert(names::on_bus(&parameter.ident), ()).is_some() {
            mistakes.add(parameter.ident.span(), "this name is taken by another argument");
        }
    }
}

/// Takes `#[rpc(…)]` off the attributes.
fn take_rpc(attributes: Vec<Attribute>) -> Result<(Vec<Attribute>, Option<Duration>)> {
    let (options, attributes): (Vec<_>, Vec<_>) =
        attributes.into_iter().partition(|attribute| attribute.path().is_ident("rpc"));
    let mut timeout = None;
    for attribute in options {
        let pairs = attribute
            .parse_args_with(Punctuated::<syn::MetaNameValue, Token![,]>::parse_terminated)?;
        for pair in pairs {
            match &pair.value {
                Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if pair.path.is_ident("timeout") => {
                    timeout = Some(read_duration(text)?);
                }
                _ => {
                    return Err(Error::new(pair.span(), r#"only `timeout = "20s"` is known here"#));
                }
            }
        }
    }
    Ok((attributes, timeout))
}

fn read_duration(text: &LitStr) -> Result<Duration> {
    let value = text.value();
    let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = value.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let duration_ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
    match duration_ms {
        None | Some(0) => Err(Error::new(
            text.span(),
            "a time is a number and `ms`, `s`, `m` or `h`, as in \"20s\"",
        )),
        Some(duration_ms) => Ok(Duration::from_millis(duration_ms)),
    }
}

pub(crate) fn is_option(kind: &Type) -> bool {
    last_segment(kind).is_some_and(|segment| segment.ident == "Option")
}

fn last_segment(kind: &Type) -> Option<&syn::PathSegment> {
    match kind {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// Errors found so far.
#[derive(Default)]
struct Mistakes(Option<Error>);

impl Mistakes {
    fn add(&mut self, place: Span, what: &str) {
        self.combine(Error::new(place, what));
    }

    fn combine(&mut self, error: Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }

    fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.combine(error)).ok()
    }

    fn into_result<T>(self, value: T) -> Result<T> {
        match self.0 {
            Some(error) => Err(error),
            None => Ok(value),
        }
    }
}

#[cfg(test)]
mod tests;
