//! The table of all sections and keys.

use super::Form::{Bool, Lines, Literal, Text};
use super::{Files, Form, KeySpec, SectionSpec};

const fn key(name: &'static str, form: Form, meaning: &'static str) -> KeySpec {
    KeySpec { name, form, files: Files::None, meaning }
}

/// A key that names files.
const fn path(name: &'static str, form: Form, meaning: &'static str) -> KeySpec {
    KeySpec { files: Files::Path, ..key(name, form, meaning) }
}

/// A key that names a program or package.
const fn program(name: &'static str, form: Form, meaning: &'static str) -> KeySpec {
    KeySpec { files: Files::Program, ..key(name, form, meaning) }
}

/// Every section that is known.
pub const SECTIONS: &[SectionSpec] = &[
    SectionSpec {
        name: "accelize",
        subsections: "",
        open: false,
        meaning: "the catalog: what an accelerator needs where, accounts and usage",
        keys: &[
            key("client_id", Text, "account at the catalog server"),
            key("secret_id", Text, "secret of that account"),
            path("catalog", Text, "catalog file to use: a path or URL"),
            key("server", Text, "URL of the catalog server"),
            key(
                "fingerprint",
                Text,
                "SHA-256 fingerprint of the catalog server's certificate, for its packages too",
            ),
            path(
                "ssl_cert_crt",
                Text,
                "certificate of the catalog server, for its packages too, or of who signed it: a path",
            ),
            key("unsecure", Bool, "whether the secret may be sent unencrypted (plain HTTP)"),
            key(
                "stale_catalog",
                Bool,
                "whether the last answer is used while the server is down; True if unset",
            ),
        ],
    },
    SectionSpec {
        name: "host",
        subsections: "<host_type>",
        open: false,
        meaning: "the machine that runs the accelerator",
        keys: &[
            key(
                "host_type",
                Text,
                "provider of the machine: AWS, OpenStack, Alibaba, localhost; sim makes hosts of processes here",
            ),
            key("client_id", Text, "access key or user at the provider"),
            key("secret_id", Text, "secret key or password at the provider"),
            key("region", Text, "region of the provider"),
            key("project_id", Text, "project or tenant (OpenStack)"),
            key("auth_url", Text, "URL of the identity service (OpenStack)"),
            key("use_private_ip", Bool, "whether to reach the host by its private address"),
            path(
                "ssl_cert_crt",
                Literal,
                "certificate of the host: a path, a URL, or False for plain HTTP",
            ),
            path("ssl_cert_key", Text, "private key of that certificate: a path or URL"),
            key("ssl_cert_generate", Bool, "whether to make a certificate for the host"),
            path(
                "init_config",
                Literal,
                "configuration to send to the host: True for this one, or a path or URL",
            ),
            path(
                "init_script",
                Text,
                "script that the host runs when it first starts, by the program on its first line or \
                 else by bash: a path or URL",
            ),
            key("instance_id", Text, "existing instance to use"),
            key("instance_type", Text, "kind of machine; the catalog's choice if unset"),
            key("image_id", Text, "machine image; the catalog's choice if unset"),
            key(
                "host_ip",
                Text,
                "name or address of an existing host, which is used but never stopped",
            ),
            key("stop_mode", Text, "what stop does to the host: term, stop or keep (0, 1, 2)"),
            key(
                "idle_timeout",
                Text,
                "how long a host that is made lives without jobs and clients: 30m if unset, or none",
            ),
            key("max_lifetime", Text, "how long it lives in all: 12h if unset, or none"),
            path("agent", Text, "agent that a host gets when it is made: a path or a web address"),
            key("agent_sha256", Text, "SHA-256 of that agent"),
            key("host_name_prefix", Text, "first part of the names of hosts"),
            key("key_pair", Text, "SSH key pair at the provider"),
            key("security_group", Text, "firewall rules at the provider"),
            key("role", Text, "role that the host takes on (AWS, Alibaba)"),
            key("policy", Text, "policy of that role (AWS, Alibaba)"),
            key(
                "allowed_cidr",
                Text,
                "addresses that may reach the host: ranges such as 192.0.2.7/32; yours alone if unset",
            ),
            key(
                "allow_ports",
                Literal,
                "ports at which these may reach the host; 22 and 443 if unset (AWS)",
            ),
            key(
                "policy_document",
                Literal,
                "what the policy of the host says, as a dictionary or JSON; what it needs if unset (AWS)",
            ),
            key(
                "assume_role_policy_document",
                Literal,
                "who may take on the role of the host, likewise; machines of EC2 if unset (AWS)",
            ),
            key("token", Text, "bearer token of the host"),
            path("token_file", Text, "file that holds the bearer token of the host"),
            key("fingerprint", Text, "SHA-256 fingerprint of the host's certificate"),
            key("prefer_self_hosted", Bool, "whether to run here where this machine is a host"),
            key(
                "delete_volumes_on_termination",
                Bool,
                "whether volumes end with their instance (AWS)",
            ),
            key("subnet_id", Text, "subnet of the host; a default one if unset (AWS)"),
            key(
                "security_group_ids",
                Literal,
                "ids of security groups to use as they are, instead of security_group (AWS)",
            ),
            key("availability_zone", Text, "zone of the region; any if unset (AWS)"),
            key(
                "s3_buckets",
                Literal,
                "buckets that jobs may reach by the rights of the host: names, or all (AWS)",
            ),
            key("spot_instance", Bool, "whether to use spare capacity at a lower price (AWS)"),
            key("spot_block_duration", Literal, "no effect: spot blocks no longer exist (AWS)"),
            key(
                "boto3_session_kwargs",
                Literal,
                "dictionary merged over the session's settings (AWS)",
            ),
            key(
                "boto3_client_kwargs",
                Literal,
                "dictionary merged over the client's settings (AWS)",
            ),
            key(
                "boto3_create_instances_kwargs",
                Literal,
                "dictionary merged over the RunInstances request (AWS)",
            ),
            key(
                "nova_client_kwargs",
                Literal,
                "dictionary merged over the compute client's settings (OpenStack)",
            ),
            key(
                "nova_client_create_server_kwargs",
                Literal,
                "dictionary merged over the request for a server (OpenStack)",
            ),
            key(
                "neutron_client_kwargs",
                Literal,
                "dictionary merged over the network client's settings (OpenStack)",
            ),
            key(
                "acs_client_kwargs",
                Literal,
                "dictionary merged over the client's settings (Alibaba)",
            ),
            key(
                "acs_create_instance_kwargs",
                Literal,
                "dictionary merged over the CreateInstance request (Alibaba)",
            ),
        ],
    },
    SectionSpec {
        name: "configuration",
        subsections: "<accelerator>",
        open: true,
        meaning: "default parameters of start; any parameter of the accelerator is a key",
        keys: &[
            path("parameters", Literal, "all parameters as JSON: a literal, a path or a URL"),
            path("datafile", Literal, "what start is given: a path or URL"),
        ],
    },
    SectionSpec {
        name: "process",
        subsections: "<accelerator>",
        open: true,
        meaning: "default parameters of process; any parameter of the accelerator is a key",
        keys: &[
            path("parameters", Literal, "all parameters as JSON: a literal, a path or a URL"),
            path("file_in", Literal, "source of jobs that are given none: a path or URL"),
        ],
    },
    SectionSpec {
        name: "security",
        subsections: "",
        open: false,
        meaning: "what remote callers may do on this machine",
        keys: &[
            path(
                "authorized_host_dirs",
                Lines,
                "directories that host:// URLs may reach; ~/shared if unset",
            ),
            key(
                "allowed_networks",
                Lines,
                "networks that http:// URLs may reach beside public ones: 10.1.0.0/16, private, metadata, all",
            ),
            KeySpec {
                files: Files::PathOrText,
                ..key(
                    "package_keys",
                    Lines,
                    "public keys of minisign, or their files: only packages that one of them signed are installed and used",
                )
            },
        ],
    },
    SectionSpec {
        name: "serve",
        subsections: "",
        open: false,
        meaning: "this machine as a host: apyfal serve",
        keys: &[
            key("listen", Lines, "addresses to listen on; 127.0.0.1:8000 if unset"),
            program("accelerator", Text, "accelerator of clients that name none"),
            key(
                "fpgaimage",
                Text,
                "image at AWS that a device is loaded with for that accelerator, in place of its package's own",
            ),
            path(
                "data_dir",
                Text,
                "where sessions, results and the journal are; ~/.apyfal/host if unset",
            ),
            key("token", Text, "bearer token that clients must present, on loopback too"),
            path("token_file", Text, "file that holds that token"),
            path(
                "ssl_cert_crt",
                Text,
                "certificate: a path; one is made where it is needed and unset",
            ),
            path("ssl_cert_key", Text, "private key of that certificate: a path"),
            key(
                "rest_v1",
                Bool,
                "whether REST v1.0, whose clients have no token, is served off loopback",
            ),
            key(
                "names",
                Lines,
                "names of this host, such as the one that a proxy on it passes on: without the token it is served on loopback only by these, its own, localhost and addresses",
            ),
            key(
                "local_users",
                Lines,
                "users of this machine that are served on loopback without the token, by name or number, beside the host's own and root: those of a proxy or of whoever watches the host; or all",
            ),
            key("threads", Text, "how many cores jobs may keep busy; all if unset"),
            key("max_waiting", Text, "how many jobs may wait for a slot; 10000 if unset"),
            key("max_connections", Text, "how many connections may be open; 4096 if unset"),
            key(
                "scratch_quota",
                Text,
                "how much results may take on disk, such as 64G; that if unset",
            ),
            key("max_results", Text, "how many results may be kept; 100000 if unset"),
            key(
                "result_ttl",
                Text,
                "how long a result waits to be fetched, such as 24h; that if unset",
            ),
            key("job_timeout", Text, "how long a job may take, such as 1h; for ever if unset"),
            key(
                "client_timeout",
                Text,
                "how long a client, or a web server that a job reads, may keep us waiting for 1 KiB; 10s if unset",
            ),
            key(
                "take_timeout",
                Text,
                "how long a client may take nothing of its result, such as 1h; that if unset",
            ),
            key(
                "idle_timeout",
                Text,
                "how long the host lives without jobs and clients, such as 30m; for ever if unset",
            ),
            key("max_lifetime", Text, "how long it lives in all, such as 12h; for ever if unset"),
            key(
                "shutdown_command",
                Literal,
                "command that ends the machine when the host's life is over, such as ['shutdown', '-P', 'now']",
            ),
        ],
    },
    SectionSpec {
        name: "storage",
        subsections: "<storage_type> or <storage_type>.<name>",
        open: false,
        meaning: "a mounted storage; what is unset is looked up in the [host] section of that type",
        keys: &[
            key("storage_type", Text, "AWS (s3://), Alibaba (oss://) or OpenStack (swift://)"),
            key("client_id", Text, "access key or user at the storage"),
            key("secret_id", Text, "secret key or password at the storage"),
            key("session_token", Text, "token of temporary keys (AWS, Alibaba)"),
            key("region", Text, "region of the storage"),
            key("endpoint", Text, "server of the storage, where it is not the provider's own"),
            key("unsecure", Bool, "whether to use plain HTTP"),
            key("anonymous", Bool, "whether to send no credentials, for public buckets"),
            key("project_id", Text, "project or tenant (OpenStack)"),
            key("auth_url", Text, "URL of the identity service (OpenStack)"),
            key("user_domain_name", Text, "domain of the user (OpenStack); Default if unset"),
        ],
    },
    SectionSpec {
        name: "accelerator",
        subsections: "<name>",
        open: false,
        meaning: "an accelerator of your own: a program on this machine",
        keys: &[
            key("summary", Text, "what it does, in one line"),
            key("description", Text, "what a user should know before using it"),
            key("aliases", Literal, "list of other names that mean the same"),
            program("executable", Text, "program that takes -m, -i, -o, -j and -p"),
            path("lock_directory", Text, "where the lock of an executable is; /run/lock if unset"),
            program(
                "command",
                Literal,
                "list of a program and its arguments, over standard streams or {src} and {dst}",
            ),
            program(
                "worker",
                Literal,
                "list of a program and its arguments that stays alive and takes one job after the other",
            ),
            key("sudo", Bool, "whether to run it through sudo"),
            key("parameters", Literal, "dictionary of its parameters, each with type and default"),
            key("slots", Literal, "how many jobs may run at the same time"),
            key("env", Literal, "dictionary of environment variables for it"),
            key("rerun_safe", Bool, "whether a job may run again after it was cut off"),
        ],
    },
];
