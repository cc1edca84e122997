//! The FPGA devices that accelerators of packages run on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use apyfal_core::{Engine, Error, ErrorKind, Result};
use apyfal_devices::{Access, Hold, Kind, Pool, PoolOptions, Tools, WithSlot, detect, helper};
use apyfal_package::{Device, Image, Installed, Packaged, Program};

use crate::configuration::lock_directory;

/// How long a job waits for a slot that others use.
const WAIT: Duration = Duration::from_secs(600);
/// What an instance of AWS says that it is.
const PRODUCT: &str = "/sys/class/dmi/id/product_name";

/// The devices of this machine, as far as their tools are on the search path.
#[derive(Clone, Debug, Default)]
pub struct Devices(Those);

#[derive(Clone, Debug, Default)]
enum Those {
    #[default]
    None,
    Here(Tools, Access),
    Elsewhere,
}

impl Devices {
    /// None at all: packages run without.
    pub fn none() -> Self {
        Self::default()
    }

    /// Those whose tools are on the search path `path`. `program` is the binary `apyfal`, which is the
    /// helper where `sudo` is needed.
    pub fn here(path: &str, program: PathBuf, is_root: bool) -> Self {
        let access = Access::choose(Path::new(helper::SOCKET), is_root, program);
        Self(Those::Here(Tools::new(path), access))
    }

    /// Those of a machine that is not there yet: a package that needs one is known, and is not to be
    /// run here.
    pub(crate) fn elsewhere() -> Self {
        Self(Those::Elsewhere)
    }

    /// The kinds that packages may have images for.
    pub fn kinds(&self) -> Vec<Device> {
        let Those::Here(tools, access) = &self.0 else { return Vec::new() };
        let here = detect(tools, access);
        let is_here = |device: &Device| here.iter().any(|found| found.kind() == kind(*device));
        Device::ALL.into_iter().map(|(_, device)| device).filter(is_here).collect()
    }

    /// The engines of a package, the best one last: it alone, unless it needs a device, and with a slot of one
    /// that is here and that it has an image for. `agfi` is an image at AWS that goes before those of the
    /// package.
    ///
    /// # Errors
    /// It cannot do without a device and none is here, or an image is none.
    pub(crate) fn engines(
        &self,
        installed: Installed,
        agfi: Option<&str>,
    ) -> Result<Vec<Arc<dyn Engine>>> {
        let (manifest, files) = (&installed.manifest, installed.files.clone());
        let lacks = manifest.requires.device.then(|| manifest.lacks_device());
        let name = manifest.name.clone();
        let hold = match manifest.program() {
            Program::Command => Hold::Job,
            Program::Worker => Hold::Session,
            Program::Executable => Hold::Start,
        };
        let named = agfi.map(|agfi| Image {
            device: Device::AwsF2,
            agfi: Some(agfi.to_owned()),
            file: None,
            platform: None,
            size: None,
            sha256: None,
        });
        let images: Vec<_> = named.into_iter().chain(manifest.images.iter().cloned()).collect();
        let packaged = Packaged::new(installed, lock_directory())?;
        let Some((device, image)) = self.choose(&images) else {
            if let (Some(lacks), false) = (lacks, matches!(self.0, Those::Elsewhere)) {
                return Err(lacks.operation(format!("use '{name}'")));
            }
            return Ok(vec![Arc::new(packaged)]);
        };
        let image = match (&image.agfi, &image.file) {
            (Some(agfi), _) => apyfal_devices::Image::agfi(agfi)?,
            (None, Some(file)) => apyfal_devices::Image::file(device.kind(), &files.join(file))?,
            (None, None) => {
                return Err(Error::new(ErrorKind::Internal, "an image without name or file"));
            }
        };
        let options = PoolOptions { locks: lock_directory(), wait: WAIT, what: name };
        let pool = Arc::new(Pool::new(device, options));
        let mut engines: Vec<Arc<dyn Engine>> = Vec::new();
        if lacks.is_none() {
            engines.push(Arc::new(packaged.clone()));
        }
        engines.push(Arc::new(WithSlot::new(packaged, pool, image, hold)));
        Ok(engines)
    }

    /// The first image that a device here takes, and that device.
    fn choose<'i>(
        &self,
        images: &'i [Image],
    ) -> Option<(Arc<dyn apyfal_devices::Device>, &'i Image)> {
        let Those::Here(tools, access) = &self.0 else { return None };
        if images.is_empty() {
            return None;
        }
        let here = detect(tools, access);
        let product = std::fs::read_to_string(PRODUCT).unwrap_or_default();
        images.iter().find_map(|image| {
            let kind = kind(image.device);
            // Of images for several types of instance the one for this type.
            let is_for_here = image.device != Device::AwsF2
                || image.platform.as_ref().is_none_or(|platform| product.starts_with(platform));
            let device = here.iter().find(|device| device.kind() == kind)?;
            is_for_here.then(|| (device.clone(), image))
        })
    }
}

fn kind(device: Device) -> Kind {
    match device {
        Device::AwsF2 => Kind::AwsF2,
        Device::Xrt => Kind::Xrt,
        Device::Opae => Kind::Opae,
    }
}
