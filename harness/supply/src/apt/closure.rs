//! Everything some packages need to work.

use std::collections::{BTreeMap, VecDeque};

use super::dependency::{Group, Relation};
use super::universe::{Universe, dependencies, provides};
use super::{AptError, Package};

/// The closure while it is being built.
pub(super) struct Closure<'u> {
    universe: &'u Universe,
    chosen: BTreeMap<&'u str, Choice<'u>>,
    /// Names of virtual packages → names of chosen packages that provide them.
    provided: BTreeMap<String, Vec<&'u str>>,
    queue: VecDeque<&'u Package>,
}

struct Choice<'u> {
    package: &'u Package,
    /// The package that needed it; none for one that was asked for.
    because: Option<&'u str>,
}

impl<'u> Closure<'u> {
    pub(super) fn new(universe: &'u Universe) -> Closure<'u> {
        Closure {
            universe,
            chosen: BTreeMap::new(),
            provided: BTreeMap::new(),
            queue: VecDeque::new(),
        }
    }

    /// The closure of these packages, sorted by name.
    pub(super) fn of(mut self, roots: Vec<&'u Package>) -> Result<Vec<&'u Package>, AptError> {
        for root in roots {
            if !self.chosen.contains_key(root.name.as_str()) {
                self.choose(root, None);
            }
        }
        while let Some(package) = self.queue.pop_front() {
            for group in dependencies(package)? {
                self.satisfy(package, &group)?;
            }
        }
        Ok(self
            .chosen
            .into_values()
            .map(|choice| choice.package)
            .collect())
    }

    fn choose(&mut self, package: &'u Package, because: Option<&'u str>) {
        self.chosen
            .insert(&package.name, Choice { package, because });
        for entry in package.provides.split(',') {
            let name = entry.split(['(', ':']).next().unwrap_or_default().trim();
            self.provided
                .entry(name.to_owned())
                .or_default()
                .push(&package.name);
        }
        self.queue.push_back(package);
    }

    fn satisfy(&mut self, package: &'u Package, group: &Group) -> Result<(), AptError> {
        if group.0.iter().any(|relation| self.is_satisfied(relation)) {
            return Ok(());
        }
        let candidates = self.universe.satisfying_group(group);
        // A second version of what is chosen already cannot be installed beside it.
        let free = candidates
            .iter()
            .find(|it| !self.chosen.contains_key(it.name.as_str()));
        if let Some(candidate) = free {
            self.choose(candidate, Some(&package.name));
            return Ok(());
        }
        let (chain, wanted) = (self.chain(package), group.to_string());
        match candidates
            .first()
            .and_then(|it| self.chosen.get(it.name.as_str()))
        {
            Some(choice) => Err(AptError::Conflict {
                chain,
                wanted,
                chosen: choice.package.to_string(),
            }),
            None => Err(AptError::Unsatisfiable {
                chain,
                wanted,
                suites: self.universe.suites(),
            }),
        }
    }

    fn is_satisfied(&self, relation: &Relation) -> bool {
        let name = relation.name.as_str();
        self.chosen
            .get(name)
            .is_some_and(|choice| relation.matches(choice.package))
            || self.provided.get(name).is_some_and(|providers| {
                providers
                    .iter()
                    .filter_map(|provider| self.chosen.get(provider))
                    .any(|choice| provides(choice.package, relation))
            })
    }

    /// From the package that was asked for to this one.
    fn chain(&self, package: &Package) -> Vec<String> {
        let mut chain = vec![package.to_string()];
        let mut next = self
            .chosen
            .get(package.name.as_str())
            .and_then(|choice| choice.because);
        while let Some(choice) = next.and_then(|name| self.chosen.get(name)) {
            chain.push(choice.package.to_string());
            next = choice.because;
        }
        chain.reverse();
        chain
    }
}
