//! What runs in a cell: the check's command, with what the image's file says, and
//! where that says nothing, what the image itself does, as `docker run` would.

use plan::{Check, Image};
use supply::ImageConfig;
use wire::Command;

pub(crate) fn command(image: &Image, check: &Check, config: &ImageConfig) -> Command {
    let mut environment = config.environment.clone();
    for (name, value) in &image.given.environment {
        match environment.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => known.clone_from(value),
            None => environment.push((name.clone(), value.clone())),
        }
    }
    // What the plan adds (PATH) is for those that have none.
    for (name, value) in &image.environment {
        if environment.iter().all(|(known, _)| known != name) {
            environment.insert(0, (name.clone(), value.clone()));
        }
    }
    let own = |given: bool, of_file: &str, of_image: &Option<String>| match of_image {
        Some(text) if !given => text.clone(),
        _ => of_file.to_owned(),
    };
    let mut arguments = Vec::new();
    if check.entrypoint {
        arguments.extend(config.entrypoint.iter().cloned());
    }
    arguments.extend(check.command.iter().cloned());
    Command {
        arguments,
        environment,
        directory: own(image.given.directory, &image.directory, &config.directory),
        user: own(image.given.user, &image.user, &config.user),
        hostname: "matrix".to_owned(),
        seccomp: check.seccomp,
        capabilities: check.capabilities.clone(),
    }
}

#[cfg(test)]
mod tests {
    use plan::Given;

    use super::*;

    fn image() -> Image {
        Image {
            name: "i".into(),
            sources: Vec::new(),
            environment: vec![("PATH".into(), "/default".into())],
            user: "0:0".into(),
            directory: "/".into(),
            checks: Vec::new(),
            expectations: Vec::new(),
            quarantines: Vec::new(),
            given: Given::default(),
            optional: false,
        }
    }

    fn check(entrypoint: bool) -> Check {
        Check {
            name: "c".into(),
            command: vec!["ls".into()],
            stdout: None,
            children: verdict::judge::Children::Noticed,
            timeout: None,
            entrypoint,
            seccomp: verdict::Seccomp::None,
            capabilities: verdict::AddedCapabilities::default(),
        }
    }

    #[test]
    fn an_image_without_a_configuration_has_the_files_settings() {
        let command = command(&image(), &check(true), &ImageConfig::default());
        assert_eq!(command.arguments, ["ls"]);
        assert_eq!(command.environment, image().environment);
        assert_eq!((&*command.user, &*command.directory), ("0:0", "/"));
    }

    #[test]
    fn the_images_own_settings_yield_to_the_files() {
        let config = ImageConfig {
            environment: vec![("PATH".into(), "/own".into()), ("A".into(), "1".into())],
            user: Some("app".into()),
            directory: Some("/srv".into()),
            entrypoint: vec!["/entry".into()],
        };
        let bare = command(&image(), &check(false), &config);
        assert_eq!(bare.arguments, ["ls"]);
        assert_eq!(bare.environment, config.environment);
        assert_eq!((&*bare.user, &*bare.directory), ("app", "/srv"));

        let mut told = image();
        told.given = Given {
            environment: vec![("A".into(), "2".into())],
            user: true,
            directory: false,
        };
        told.environment.push(("A".into(), "2".into()));
        let command = command(&told, &check(true), &config);
        assert_eq!(command.arguments, ["/entry", "ls"]);
        assert_eq!(
            command.environment,
            [
                ("PATH".to_owned(), "/own".to_owned()),
                ("A".to_owned(), "2".to_owned())
            ]
        );
        assert_eq!((&*command.user, &*command.directory), ("0:0", "/srv"));
    }
}
