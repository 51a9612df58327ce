//! What the programs contain of others: [`crates`] asks cargo, [`notices`] writes the texts of their licences, [`bill`] the
//! list of materials (SBOM). Both go into the packages.

pub(crate) mod bill;
pub(crate) mod crates;
pub(crate) mod notices;
