//! The ECR API: its operations, shapes, constraints and JSON forms.
//!
//! Three modules are generated from the service model by `cargo xtask codegen`
//! ([`operations`], [`schema`], [`shapes`]); the others are written by hand and
//! give them meaning. A request body becomes a typed input only through
//! [`decode`], which checks every constraint of the model: a handler that holds
//! an input may rely on all of them.

/// Defines an enumeration of strings with their exact spelling on the wire.
/// In scope of the modules below, which are declared after it.
macro_rules! string_enum {
    ($(#[$attribute:meta])* $name:ident { $($variant:ident = $wire:literal,)+ }) => {
        $(#[$attribute])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize,
        )]
        pub enum $name {
            $(
                #[doc = concat!("`", $wire, "`")]
                #[serde(rename = $wire)]
                $variant,
            )+
        }

        impl $name {
            /// All values, in the order of the service model.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value as it is written on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $wire,)+
                }
            }

            /// The value that `text` names, if any; spelling is exact.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($wire => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}

pub mod check;
pub mod json;
pub mod operations;
pub mod scalars;
pub mod schema;
pub mod shapes;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]
mod tests;

pub use json::{DecodeError, decode};
pub use operations::{ErrorName, OperationName, SIGNING_NAME, TARGET_PREFIX};
pub use scalars::{Blob, Timestamp};
