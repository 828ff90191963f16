//! What pictures of the ring are made of: a canvas of characters, and circles on it.

mod canvas;

pub(crate) use canvas::{Canvas, Circle};
