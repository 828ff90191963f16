//! What pictures of the ring are made of: characters that the terminal has, a canvas of them, and circles on it.

mod canvas;
mod charset;

pub(crate) use canvas::{Canvas, Circle};
pub(crate) use charset::Charset;
