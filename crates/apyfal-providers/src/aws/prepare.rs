//! What a host needs before it is asked for: looked up, made where it is missing, and settled as the
//! exact request.

use std::time::Duration;

use apyfal_core::{Error, ErrorKind, Image, Result};
use jiff::Timestamp;

use super::Aws;
use super::api::Api;
use super::bucket::Bucket;
use super::images::{self, Ami};
use super::keys::{KeyWishes, key_pair};
use super::launch_template;
use super::network::{self, NetworkWishes};
use super::request::{self, Parts};
use super::rights::{Rights, RightsWishes, document, rights};
use super::settings::{AwsSettings, INSTANCE_PROFILE, SSH};
use crate::spec::{AgentNeeds, Artifact, Boot, HostSpec, Login, Prepared, Request, Script};

/// Tells who asks what their public address is.
const ADDRESS_SERVICE: &str = "https://checkip.amazonaws.com";
/// How long the URLs that a machine gets are good for at least when it is asked for: it has to come up
/// before it fetches anything.
const TO_BOOT: Duration = Duration::from_secs(600);
/// For how long a request may be sent where credentials end too soon for that.
const AT_LEAST: Duration = Duration::from_secs(60);

/// What becomes of the files of those who may not use buckets.
const PUSHES: &str = "S3 may not be used: what the machine needs is sent to it by ssh";

/// Settles the request for a host.
///
/// # Errors
/// What is wanted does not exist, does not fit or is refused. No machine was asked for.
pub(crate) async fn prepare(aws: &Aws, spec: &HostSpec, held: &[String]) -> Result<Prepared> {
    let Aws { api, settings, .. } = aws;
    let Boot::Script(script) = &spec.boot else {
        return Err(Error::new(
            ErrorKind::Internal,
            "a machine of AWS is told nothing else than a script",
        ));
    };
    let network_wishes = network_wishes(settings, &spec.installation, Some(held));
    let key_wishes = KeyWishes {
        name: settings.key_pair.clone(),
        is_given: settings.names_key,
        directory: aws.ssh.clone(),
        installation: spec.installation.clone(),
    };
    // First what only looks: what is wrong is told before anything is made.
    let ((image, instance_type), surroundings, caller, market) = tokio::try_join!(
        machine(aws, spec, &script.agent),
        network::look_up(api, &network_wishes),
        aws.caller(),
        launch_template::market_options(api, settings),
    )?;
    let bucket = Bucket::of(api, &caller.account)?;
    // What is refused of the request is refused whatever the names in it are going to be.
    let parts = Parts {
        image: &image.id,
        volumes: &image.volumes,
        instance_type: &instance_type,
        subnet_id: None,
        zone: None,
        security_group_ids: &[],
        asks_for_address: false,
        key_pair: &settings.key_pair,
        instance_profile: None,
        user_data: &user_data(&bucket, script, &[]).await?.0,
        market: market.as_ref(),
        owner: &caller.arn,
        now: Timestamp::now(),
    };
    request::request(spec, settings, &parts)?;
    let (network, keys, rights, pushed) = tokio::try_join!(
        surroundings.let_in(api, &network_wishes),
        key_pair(api, &key_wishes),
        needed_rights(api, settings, spec),
        put(&bucket, script),
    )?;
    check_push(&pushed, &network_wishes)?;
    // A URL is signed when all is there: it is good from then on.
    let (user_data, good_for) = user_data(&bucket, script, &pushed).await?;
    let parts = Parts {
        subnet_id: network.subnet_id.as_deref(),
        zone: network.zone.as_deref(),
        security_group_ids: &network.security_group_ids,
        asks_for_address: network.public_address,
        key_pair: &keys.name,
        instance_profile: rights.as_ref().map(|rights| rights.profile.as_str()),
        user_data: &user_data,
        ..parts
    };
    let request = Request::of(&request::request(spec, settings, &parts)?)?;
    let login = Login {
        user: image.user.to_owned(),
        key_pair: keys.name.clone(),
        private_key: keys.private_key.clone(),
    };
    let of_rights = rights.into_iter().flat_map(|rights| rights.warnings);
    let of_push = (!pushed.is_empty()).then(|| PUSHES.to_owned());
    let warnings = network.warnings.into_iter().chain(of_rights).chain(of_push).collect();
    let (login, account) = (Some(login), Some(caller.account.clone()));
    let holds = network.holds;
    Ok(Prepared { request, good_for, login, pushed, account, holds, warnings })
}

/// For which architecture a program has to be that runs on a machine of this type, else on one that starts
/// from this image.
///
/// # Errors
/// There is no such type or image.
pub(crate) async fn architecture(
    aws: &Aws,
    instance_type: Option<&str>,
    image: Option<&Image>,
) -> Result<String> {
    let Aws { api, settings, instance_types, .. } = aws;
    let supported = match settings.instance_type().or(instance_type) {
        Some(name) => {
            request::check_instance_type(name)?;
            instance_types.architectures(api, name).await?
        }
        None => vec![images::find(api, &image_of(settings, image)?).await?.architecture],
    };
    // What runs programs of 32 bits too has images of 64.
    let known = supported.iter().find(|known| ["x86_64", "arm64"].contains(&known.as_str()));
    let architecture = known.or(supported.first()).map_or("x86_64", String::as_str);
    Ok(architecture_of_programs(architecture).to_owned())
}

/// What programs call an architecture of EC2.
fn architecture_of_programs(name: &str) -> &str {
    match name {
        "arm64" => "aarch64",
        other => other,
    }
}

/// The image that is named: what is said of the request itself goes last, and so before all else.
fn image_of(settings: &AwsSettings, image: Option<&Image>) -> Result<Image> {
    settings.image().or_else(|| image.cloned()).ok_or_else(|| {
        Error::new(ErrorKind::Configuration, "nothing names an image")
            .operation("make a host on AWS")
            .hint("name one: image_id in section [host.AWS]")
    })
}

/// The image and the kind of the machine, which fit each other and the agent.
async fn machine(aws: &Aws, spec: &HostSpec, agent: &AgentNeeds) -> Result<(Ami, String)> {
    let Aws { api, settings, instance_types, .. } = aws;
    let named = image_of(settings, spec.image.as_ref())?;
    let named_type = settings.instance_type().or(spec.instance_type.as_deref());
    let (image, supported) = tokio::try_join!(images::find(api, &named), async {
        let Some(name) = named_type else { return Ok(None) };
        request::check_instance_type(name)?;
        instance_types.architectures(api, name).await.map(Some)
    })?;
    let instance_type = named_type.unwrap_or_else(|| {
        request::default_instance_type(spec.fpga_image.is_some(), &image.architecture)
    });
    let supported = match supported {
        Some(supported) => supported,
        None => instance_types.architectures(api, instance_type).await?,
    };
    request::check_architecture(
        (&named_image(&image), &image.architecture),
        (instance_type, &supported),
    )?;
    fits(&image, agent)?;
    Ok((image, instance_type.to_owned()))
}

fn named_image(image: &Ami) -> String {
    match image.name.is_empty() {
        true => image.id.clone(),
        false => format!("{} ({})", image.id, image.name),
    }
}

/// Refuses an image that cannot run the agent.
fn fits(image: &Ami, agent: &AgentNeeds) -> Result<()> {
    let refused = |why: String| {
        Error::new(ErrorKind::Configuration, why)
            .operation(format!("run this agent on the image '{}'", named_image(image)))
            .hint("one for any machine of the architecture that builds it: cargo xtask dist")
            .hint("then name it: agent and agent_sha256 in section [host]")
    };
    let architecture = architecture_of_programs(&image.architecture);
    if let Some(own) = agent.architecture.as_deref().filter(|own| *own != architecture) {
        return Err(refused(format!("it is for {own}, and the image for {architecture}")));
    }
    match (agent.glibc, image.glibc()) {
        (Some(needed), Some(has)) if needed > has => Err(refused(format!(
            "it needs the GNU C library {}.{}, and the image has {}.{}",
            needed.0, needed.1, has.0, has.1
        ))),
        _ => Ok(()),
    }
}

pub(crate) fn network_wishes(
    settings: &AwsSettings,
    installation: &str,
    held: Option<&[String]>,
) -> NetworkWishes {
    NetworkWishes {
        subnet_id: settings.subnet_id().map(str::to_owned),
        security_group_ids: settings.security_group_ids(),
        security_group: settings.security_group.clone(),
        availability_zone: settings.availability_zone().map(str::to_owned),
        use_private_ip: settings.use_private_ip,
        allowed_cidr: settings.allowed_cidr.clone(),
        ports: settings.ports.clone(),
        held: held.map(<[String]>::to_vec),
        installation: installation.to_owned(),
        address_service: ADDRESS_SERVICE.to_owned(),
    }
}

/// The rights of the host, where it needs any.
async fn needed_rights(
    api: &Api,
    settings: &AwsSettings,
    spec: &HostSpec,
) -> Result<Option<Rights>> {
    let region = api.region();
    let AwsSettings { policy_document: own, trust_document, buckets, .. } = settings;
    let has_fpga = spec.fpga_image.is_some() && own.is_none();
    let needed = document::of_host(region, has_fpga, buckets);
    let policy_document = match (own, needed) {
        (Some(own), Some(needed)) => Some(document::joined(Some(own), &needed)),
        (own, needed) => own.clone().or(needed),
    };
    if policy_document.is_none() && trust_document.is_none() && !settings.names_role {
        return Ok(None);
    }
    let wishes = RightsWishes {
        role: settings.role.clone(),
        policy: settings.policy.clone(),
        profile: INSTANCE_PROFILE.to_owned(),
        policy_document,
        trust_document: trust_document.clone().unwrap_or_else(|| document::of_trust(region)),
        installation: spec.installation.clone(),
    };
    rights(api, &wishes).await.map(Some)
}

/// Puts the files that a script fetches where it can. None are put for who may not use buckets, whose
/// files are returned.
async fn put(bucket: &Bucket, script: &Script) -> Result<Vec<Artifact>> {
    for artifact in &script.artifacts {
        match bucket.put(&artifact.path, &artifact.sha256).await {
            // It may not be used, or somebody else's has its name.
            Err(error) if matches!(error.kind(), ErrorKind::Security | ErrorKind::Conflict) => {
                return Ok(script.artifacts.clone());
            }
            put => put?,
        }
    }
    Ok(Vec::new())
}

/// Refuses a machine that is to be sent something by ssh, which it would never let in. Groups that are named
/// may let it in.
fn check_push(pushed: &[Artifact], wishes: &NetworkWishes) -> Result<()> {
    let is_open = wishes.ports.contains(&SSH) || !wishes.security_group_ids.is_empty();
    if pushed.is_empty() || is_open {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Configuration, format!("allow_ports lacks the port {SSH} of ssh"))
        .operation("send the agent to a new machine by ssh, as S3 may not be used")
        .hint(format!("add {SSH} to allow_ports in section [host.AWS]"))
        .hint("or have those who give rights allow S3"))
}

/// The script, with where its files are or are going to be, and for how long it may be sent.
async fn user_data(
    bucket: &Bucket,
    script: &Script,
    pushed: &[Artifact],
) -> Result<(String, Option<Duration>)> {
    let mut text = script.text.clone();
    let mut good_for: Option<Duration> = None;
    for artifact in &script.artifacts {
        let word = if pushed.contains(artifact) {
            artifact.pushed()
        } else {
            let url = bucket.url(&artifact.sha256).await?;
            let sendable = url.good_for.saturating_sub(TO_BOOT).max(AT_LEAST);
            good_for = Some(good_for.map_or(sendable, |good_for| good_for.min(sendable)));
            // A URL has no quotes of its own, and all else in it means nothing between these.
            format!("'{}'", url.url.expose())
        };
        text = text.replace(&artifact.place(), &word);
    }
    Ok((text, good_for))
}
