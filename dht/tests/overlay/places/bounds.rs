//! What one node may have under way, and what it is told when it wants more or cannot have it.

use super::*;
