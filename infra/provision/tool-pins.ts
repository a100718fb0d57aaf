/** The servers that are brought up on this machine, each with the versions that fit and three ways to get it. Changing a version here is all that an update takes. */

export const TOOL_NAMES = ['temporal', 'minio', 'versitygw'] as const;
export type ToolName = (typeof TOOL_NAMES)[number];

export interface ToolPin {
  readonly name: ToolName;
  /** True for the output of `<tool> --version` of an installed program that can be used as it is. */
  readonly fits: (versionOutput: string) => boolean;
  /** Which versions fit, in words. */
  readonly wanted: string;
  readonly download: {
    readonly version: string;
    /** By `<process.platform>-<process.arch>`. */
    readonly files: Readonly<Record<string, ToolDownload>>;
  };
  readonly build: {
    readonly version: string;
    /** What `go install` takes. */
    readonly module: string;
    /** Linker flags: a program built by go install does not know its own version otherwise. */
    readonly ldflags: string;
    /** Roughly how many packages are compiled, for the progress. */
    readonly packages: number;
  };
}

export interface ToolDownload {
  readonly url: string;
  /** Of the file that is downloaded. */
  readonly sha256: string;
  /** The program inside a .tar.gz; undefined when the file is the program. */
  readonly inside?: string;
}

const TEMPORAL_VERSION = '1.5.1';
const temporalFile = (platform: string, sha256: string): ToolDownload => ({
  url: `https://github.com/temporalio/cli/releases/download/v${TEMPORAL_VERSION}/temporal_cli_${TEMPORAL_VERSION}_${platform}.tar.gz`,
  sha256,
  inside: 'temporal',
});

/** Server 1.29.1 with Web UI 2.42.1. Later ones cannot be built by go install: their go.mod has replace directives. */
const temporal: ToolPin = {
  name: 'temporal',
  wanted: '1.4.1 or newer',
  fits: (output) => atLeast(/temporal version (\d+\.\d+\.\d+)/.exec(output)?.[1], '1.4.1'),
  download: {
    version: TEMPORAL_VERSION,
    files: {
      'linux-x64': temporalFile('linux_amd64', 'ddc95e08b0b076efd4ea9733a3f488eb7d2be875f8834e616cd2a37358b4852d'),
      'linux-arm64': temporalFile('linux_arm64', 'bd1b0db9f18b051026de8bf6cc1505f2510f14bbb7a8b9a4a91fff46c77454f5'),
      'darwin-x64': temporalFile('darwin_amd64', 'bbb73e2a31135abe50a1f1cdb35030c42961df618e8ce9c60ae89f201540c5d9'),
      'darwin-arm64': temporalFile('darwin_arm64', 'cca01b7ea35ad56e2a328d9ae596bf716bd22313ef63c7a761c88354457c2415'),
    },
  },
  build: {
    version: TEMPORAL_VERSION,
    module: `github.com/temporalio/cli/cmd/temporal@v${TEMPORAL_VERSION}`,
    ldflags: `-s -w -X github.com/temporalio/cli/temporalcli.Version=${TEMPORAL_VERSION}`,
    packages: 1500,
  },
};

const MINIO_RELEASE = 'RELEASE.2025-09-07T16-13-09Z';
const minioFile = (platform: string, sha256: string): ToolDownload => ({
  url: `https://dl.min.io/server/minio/release/${platform}/archive/minio.${MINIO_RELEASE}`,
  sha256,
});

/** MinIO's repository is archived: no fixes come any more, and its downloads have gone from some places. Pinned to its last commit; versitygw is the maintained way. */
const minio: ToolPin = {
  name: 'minio',
  wanted: 'RELEASE.2025-04-03 or newer',
  fits: (output) => (/RELEASE\.(\d{4}-\d{2}-\d{2})/.exec(output)?.[1] ?? '') >= '2025-04-03',
  download: {
    version: MINIO_RELEASE,
    files: {
      'linux-x64': minioFile('linux-amd64', '7c5bd8512c6e966455b1d198209358b2d191c77a83ab377c4073281065fb855f'),
      'darwin-arm64': minioFile('darwin-arm64', '7c3b3039b76e55a1b80935848ed83998d5e8d317374f87851f46a019ff5c0aa4'),
    },
  },
  build: {
    version: 'v0.0.0-20260212201848-7aac2a2c5b7c',
    module: 'github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c',
    ldflags: '-s -w',
    packages: 1100,
  },
};

const VERSITYGW_VERSION = '1.8.0';
const versitygwFile = (platform: string, sha256: string): ToolDownload => ({
  url: `https://github.com/versity/versitygw/releases/download/v${VERSITYGW_VERSION}/versitygw_v${VERSITYGW_VERSION}_${platform}.tar.gz`,
  sha256,
  inside: `versitygw_v${VERSITYGW_VERSION}_${platform}/versitygw`,
});

/** S3 over a folder, maintained; conditional writes are guarded by lock files since 1.8. */
const versitygw: ToolPin = {
  name: 'versitygw',
  wanted: '1.8.0 or newer',
  fits: (output) => atLeast(/Version\s*:\s*v?(\d+\.\d+\.\d+)/.exec(output)?.[1], VERSITYGW_VERSION),
  download: {
    version: VERSITYGW_VERSION,
    files: {
      'linux-x64': versitygwFile('Linux_x86_64', '2ba2c734d10d2c4e651d03182cb4b246656bc735a2f282db7b0b73fba6073467'),
      'linux-arm64': versitygwFile('Linux_arm64', 'b34051d33f5a9c457f790896acb7bd7d7e15ad8d92efb70616b924f37e401910'),
      'darwin-x64': versitygwFile('Darwin_x86_64', '104bd978e80ef0173554cfd8630ccc5bac24b00da440510b60365a3b6b6ab134'),
      'darwin-arm64': versitygwFile('Darwin_arm64', '4953096f65a9c0d62ab184fb6b2ba7c2435229205cf00a56cb62cd4bf6b216ca'),
    },
  },
  build: {
    version: VERSITYGW_VERSION,
    module: `github.com/versity/versitygw/cmd/versitygw@v${VERSITYGW_VERSION}`,
    ldflags: `-s -w -X main.Version=${VERSITYGW_VERSION}`,
    packages: 650,
  },
};

export const TOOL_PINS: Readonly<Record<ToolName, ToolPin>> = { temporal, minio, versitygw };

function atLeast(version: string | undefined, wanted: string): boolean {
  if (version === undefined) return false;
  const [have, want] = [version, wanted].map((text) => text.split('.').map(Number)) as [number[], number[]];
  for (const [index, number] of want.entries()) {
    const mine = have[index] ?? 0;
    if (mine !== number) return mine > number;
  }
  return true;
}
