//! What a trait says about its API, with everything that is not about it already refused.

use std::time::Duration;

use proc_macro2::Ident;
use syn::{Attribute, Block, Expr, Type, TypeParamBound, Visibility};

/// One API.
pub(crate) struct Api {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    /// The name of the trait.
    pub(crate) ident: Ident,
    pub(crate) supertraits: Vec<TypeParamBound>,
    /// The name on the bus.
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) procedures: Vec<Procedure>,
    pub(crate) events: Vec<Event>,
}

/// One async method.
pub(crate) struct Procedure {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) ident: Ident,
    pub(crate) inputs: Vec<Input>,
    /// What it returns, whole: `Result<bool>`.
    pub(crate) output: Type,
    /// What it returns if all is well: `bool`.
    pub(crate) answer: Type,
    /// The body, if the trait has one.
    pub(crate) body: Option<Block>,
    pub(crate) timeout: Option<Duration>,
}

/// One thing a method is given.
pub(crate) enum Input {
    /// `&Context`, which does not cross the bus.
    Context(Ident, Box<Type>),
    Argument(Box<Parameter>),
}

/// One function marked `#[event]`.
pub(crate) struct Event {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) ident: Ident,
    pub(crate) parameters: Vec<Parameter>,
}

/// One named value that crosses the bus.
pub(crate) struct Parameter {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) ident: Ident,
    pub(crate) kind: Type,
    pub(crate) default: ParameterDefault,
}

/// What a parameter is if it is not given.
pub(crate) enum ParameterDefault {
    /// It must be given.
    Required,
    /// `None`, because it is an `Option`.
    Nothing,
    Value(Box<Expr>),
}

impl Parameter {
    pub(crate) fn is_required(&self) -> bool {
        matches!(self.default, ParameterDefault::Required)
    }
}

impl Procedure {
    /// Everything that crosses the bus, in order.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.inputs.iter().filter_map(|input| match input {
            Input::Argument(parameter) => Some(&**parameter),
            Input::Context(..) => None,
        })
    }
}
