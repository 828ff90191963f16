//! The ring as one daemon sees it: whom it knows, where they are, and how far away.

mod svg;
mod text;
mod view;

pub(crate) use svg::svg;
pub(crate) use text::text;
pub(crate) use view::RingView;
