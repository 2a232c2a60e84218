//! Verifies a data folder: the store, what is in it, and the deposits' files beside it.

use crate::Error;
use crate::files::name;
use crate::folder::Folder;
use crate::store::{Part, Sqlite, Store, StoreError};
use p2pgate::broker::StoredDeposit;
use p2pgate::identifier;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// What is wrong in a data folder, a line each; its broker may be running. With `contents`, each part of each deposit is read as well and compared with
/// the digest that the index has of it.
///
/// # Errors
/// The store cannot be opened: that is not looked at any further.
pub fn check(data: &Path, contents: bool) -> Result<Vec<String>, Error> {
    let folder = Folder::new(data);
    let path = folder.store();
    let unusable = |source| Error::Store { path: path.clone(), source };
    let mut store = Sqlite::read(&path).map_err(unusable)?;
    let mut findings = store.damage().map_err(unusable)?;
    match store.load() {
        Err(error) => findings.push(error.to_string()),
        Ok(terminals) => {
            if !terminals.is_empty()
                && let Err(error) = folder.key(false)
            {
                findings.push(error.to_string());
            }
            for terminal in terminals {
                let named = std::iter::once(&*terminal.identifier);
                for text in named.chain(terminal.list.iter().map(|(entry, _)| &**entry)) {
                    if let Err(error) = identifier::check(text) {
                        findings.push(format!("{}: {text:?}: {error}", terminal.identifier));
                    }
                }
            }
        }
    }
    match store.load_groups() {
        Err(error) => findings.push(error.to_string()),
        Ok(groups) => {
            for group in groups {
                let named = std::iter::once(&*group.name);
                for text in named.chain(group.members.iter().map(|(member, _)| &**member)) {
                    if let Err(error) = identifier::check(text) {
                        findings.push(format!("group {}: {text:?}: {error}", group.name));
                    }
                }
            }
        }
    }
    let suspects = deposits(&folder, &mut store, contents).and_then(|suspects| {
        // A running broker may have deleted a file since the index was read.
        let kept = if suspects.is_empty() { BTreeSet::new() } else { kept(&store.load_deposits()?) };
        Ok(suspects.into_iter().filter(|(file, _)| kept.contains(file)).collect::<Vec<_>>())
    });
    match suspects {
        Err(error) => findings.push(error.to_string()),
        Ok(found) => {
            findings.extend(found.into_iter().map(|(file, finding)| format!("deposit {file}: {finding}")));
        }
    }
    Ok(findings)
}

fn kept(deposits: &[StoredDeposit]) -> BTreeSet<String> {
    deposits.iter().filter(|deposit| deposit.notice.is_none()).map(|one| name(&one.record.deposit)).collect()
}

/// Files of which less is there, or something else, than the index has. More may be there: it has not been acknowledged.
fn deposits(
    folder: &Folder,
    store: &mut Sqlite,
    contents: bool,
) -> Result<Vec<(String, String)>, StoreError> {
    let mut found = Vec::new();
    for deposit in store.load_deposits()? {
        let file = name(&deposit.record.deposit);
        if deposit.notice.is_none() && deposit.stored > 0 {
            let finding = match folder.deposits().join(&file).metadata() {
                Ok(metadata) if metadata.len() >= deposit.stored => continue,
                Ok(metadata) => {
                    format!("its file has {} bytes, the index {}", metadata.len(), deposit.stored)
                }
                Err(error) => format!("its file cannot be used: {error}"),
            };
            found.push((file, finding));
        }
    }
    if contents {
        let mut short: BTreeSet<String> = found.iter().map(|(file, _)| file.clone()).collect();
        for part in store.parts()? {
            let file = name(&part.deposit);
            if short.contains(&file) {
                continue;
            }
            let finding = match digest(&folder.deposits().join(&file), &part) {
                Ok(digest) if digest == part.digest => continue,
                Ok(_) => format!("part {} is not what was acknowledged", part.number),
                Err(error) => format!("part {} cannot be read: {error}", part.number),
            };
            short.insert(file.clone());
            found.push((file, finding));
        }
    }
    Ok(found)
}

fn digest(path: &Path, part: &Part) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(part.start))?;
    let mut left = file.take(part.end.saturating_sub(part.start));
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match left.read(&mut buffer)? {
            0 => return Ok(digest.finalize().into()),
            length => digest.update(&buffer[..length]),
        }
    }
}
