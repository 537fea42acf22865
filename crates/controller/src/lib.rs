//! The half that knows: HTTP API, desired state, flows, SQL of the model.
