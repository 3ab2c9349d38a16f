//! What goes over the wire: the specification's shapes and our own.

pub(crate) mod becket;
pub(crate) mod body;
pub(crate) mod specification;
