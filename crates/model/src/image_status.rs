//! Whether an image can be pulled, or is kept in the archive.

use std::fmt;

use crate::{Error, Result};

/// Where an image is kept (ECR's `imageStatus`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ImageStatus {
    /// It can be pulled.
    #[default]
    Active,
    /// It is in the archive: listed if asked for, not pulled.
    Archived,
    /// It is on its way out of the archive.
    Activating,
}

impl ImageStatus {
    /// Reads ECR's name of a status.
    ///
    /// # Errors
    /// [`Error::Internal`] for another text: statuses are only read from where
    /// they were stored.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "ACTIVE" => Ok(Self::Active),
            "ARCHIVED" => Ok(Self::Archived),
            "ACTIVATING" => Ok(Self::Activating),
            other => Err(Error::internal(format!("'{other}' is not a status of an image"))),
        }
    }

    /// ECR's name of it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Archived => "ARCHIVED",
            Self::Activating => "ACTIVATING",
        }
    }
}

impl fmt::Display for ImageStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
