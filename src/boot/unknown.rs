//! An init system that we do not know. Nothing can be ordered of it; a host that is installed live can be rebooted.

use super::init::{Init, Kind, Level, Trigger, reboot_by};
use super::services::Services;
use crate::error::{Error, Result};
use crate::paths::Paths;

/// What we call the only level that it has for us.
const RUNNING: &str = "running";

/// See [`Kind::Other`].
#[derive(Debug)]
pub struct Unknown {
    paths: Paths,
}

impl Unknown {
    pub fn new(paths: Paths) -> Self {
        Self { paths }
    }
}

impl Init for Unknown {
    fn kind(&self) -> Kind {
        Kind::Other
    }

    fn level(&self) -> Result<Level> {
        Ok(Level::Normal(RUNNING.into()))
    }

    fn trigger(&self) -> Result<Trigger> {
        Ok(Trigger::Down)
    }

    fn order(&self) -> Result<()> {
        let why = "it is neither sysvinit nor systemd; set install = live in section [patchit]";
        Err(Error::refused("to order a maintenance boot of this init system", why))
    }

    fn undo(&self) -> Result<bool> {
        Ok(false)
    }

    fn normal_level(&self) -> Result<String> {
        Ok(RUNNING.into())
    }

    fn reboot(&self) -> Result<()> {
        reboot_by(&self.paths, &[&["reboot"]])
    }

    fn services(&self) -> Result<Services> {
        Ok(Services::default())
    }
}
