//! `attribute`: how a recording travels when other recorders fetch it (P8, V10c).

use std::path::Path;

use p2pgate::route::Attribute as Wanted;

use crate::cli::{Attribute, AttributeOf};
use crate::failure::{Code, Failure};
use crate::outgoing::Plan;
use crate::recording::{container, unsplittable};
use crate::sharing::attributes::{Attributes, words};
use crate::sharing::folder::{Folder, is_shareable};

/// Prints it, or sets it.
pub fn run(arguments: &AttributeOf) -> Result<(), Failure> {
    let AttributeOf { file: path, attribute, select, seal_rest } = arguments;
    let cannot = |error: std::io::Error| Failure::local("cannot read", path, &error);
    let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_shareable(name));
    let name = name.ok_or_else(|| {
        let text = format!("{} is never shared: name a file that isn't hidden, in UTF-8", path.display());
        Failure::new(Code::Usage, text)
    })?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = Folder { path: parent.to_owned() };
    let (file, _) = folder.recording(name).map_err(cannot)?;
    if *attribute != Some(Attribute::Split) && (select.is_some() || *seal_rest) {
        return Err(Failure::new(
            Code::Usage,
            "--select and --seal-rest go with split: add that or leave them out",
        ));
    }
    let wanted = match attribute {
        None => {
            let attributes = folder.attributes().map_err(cannot)?;
            say!("{}", words(&attributes.of(name), ' '));
            return Ok(());
        }
        Some(Attribute::Public) => Wanted::Public,
        Some(Attribute::Split) => Wanted::Split,
        Some(Attribute::Confidential | Attribute::Auto) => Wanted::Confidential,
    };
    if wanted == Wanted::Split
        && let Some(why) = unsplittable(container(&file).map_err(cannot)?)
    {
        return Err(Failure::new(Code::Usage, format!("{} {why}: leave it confidential", path.display())));
    }
    let plan = Plan { wanted, selection: select.unwrap_or_default(), seal_rest: *seal_rest };
    Attributes::set(parent, name, plan)
}
