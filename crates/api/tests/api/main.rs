//! The API over the plain-map store: who may ask, what is answered, and what is changed.

mod access;
mod changes;
mod lists;
mod shapes;
mod support;
mod tail;
