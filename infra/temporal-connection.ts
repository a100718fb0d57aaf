import { Client, Connection, isGrpcServiceError } from '@temporalio/client';
import { loadClientConfigProfile, toClientOptions } from '@temporalio/envconfig';
import { NativeConnection } from '@temporalio/worker';
import { messageOf, SluiceError } from '../warehouse/core/errors.ts';
import type { Config } from './config.ts';
import { checkTlsFiles, explainTls } from './temporal-tls.ts';

/** Where the server is: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_PROFILE and the rest of Temporal's own variables, or its temporal.toml. */
export interface TemporalAddress {
  readonly address: string;
  readonly namespace: string;
}

export interface TemporalClient extends TemporalAddress {
  readonly client: Client;
  readonly connection: Connection;
  /** Page of a run in the Web UI. */
  linkTo(workflowId: string, runId?: string): string;
  close(): Promise<void>;
}

const DEFAULT_ADDRESS = '127.0.0.1:7233';
const CONNECT_TIMEOUT_MS = 5_000;

type TemporalEnvironment = Pick<Config, 'temporalEnvironment'>;

/** Whether anybody said where a server is, or how to enter it. Throws CONFIG_INVALID. */
export function isTemporalConfigured(config: TemporalEnvironment): boolean {
  return readSettings(config).configured;
}

function readSettings({ temporalEnvironment }: TemporalEnvironment) {
  // As with our own options, empty means unset; of gRPC's headers it means: not this one of the profile.
  const environment = Object.fromEntries(
    Object.entries(temporalEnvironment).filter(
      ([name, value]) => value !== '' || name.startsWith('TEMPORAL_GRPC_META_'),
    ),
  );
  try {
    const profile = loadClientConfigProfile({ overrideEnvVars: environment });
    const { connectionOptions, namespace } = toClientOptions(profile);
    if ((profile.tls?.clientCert === undefined) !== (profile.tls?.clientKey === undefined)) {
      throw new Error('a client certificate and its key must be given together');
    }
    checkTlsFiles(connectionOptions.tls);
    return {
      configured: profile.address !== undefined || namespace !== undefined || profile.apiKey !== undefined,
      connectionOptions: { ...connectionOptions, address: connectionOptions.address ?? DEFAULT_ADDRESS },
      namespace: namespace ?? 'default',
    };
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw new SluiceError('CONFIG_INVALID', `The configuration of Temporal cannot be read: ${messageOf(error)}.`, {
      remedy: 'Correct the variables TEMPORAL_… or the file temporal.toml that they name.',
      cause: error,
    });
  }
}

/** What hindered a connection from being made. */
async function toConnectError(
  error: unknown,
  { address, tls }: ReturnType<typeof readSettings>['connectionOptions'],
): Promise<unknown> {
  const answered = findGrpcError(error) !== undefined && !isUnreachable(error);
  return (answered ? undefined : await explainTls(address, tls)) ?? toTemporalError(error, address);
}

/** A client of the server. Throws TEMPORAL_UNREACHABLE, TEMPORAL_REFUSED, CONFIG_INVALID. */
export async function connectTemporal(
  config: Pick<Config, 'temporalEnvironment' | 'temporalUi'>,
): Promise<TemporalClient> {
  const { connectionOptions, namespace } = readSettings(config);
  const { address } = connectionOptions;
  const connection = await Connection.connect({
    ...(connectionOptions as Parameters<typeof Connection.connect>[0]),
    connectTimeout: CONNECT_TIMEOUT_MS,
  }).catch(async (error: unknown) => {
    throw await toConnectError(error, connectionOptions);
  });
  const ui = config.temporalUi.replace(/\/$/, '');
  return {
    address,
    namespace,
    connection,
    client: new Client({ connection, namespace }),
    linkTo: (workflowId, runId) =>
      [
        ui,
        'namespaces',
        encodeURIComponent(namespace),
        'workflows',
        encodeURIComponent(workflowId),
        ...(runId === undefined ? [] : [runId]),
      ].join('/'),
    close: () => connection.close(),
  };
}

/** A worker's connection. Throws the same. */
export async function connectWorker(
  config: Pick<Config, 'temporalEnvironment'>,
): Promise<TemporalAddress & { readonly connection: NativeConnection }> {
  const { connectionOptions, namespace } = readSettings(config);
  const { address } = connectionOptions;
  const connection = await NativeConnection.connect(connectionOptions).catch(async (error: unknown) => {
    throw await toConnectError(error, connectionOptions);
  });
  return { address, namespace, connection };
}

/** Numbers of gRPC's status codes. */
export const GRPC = { invalidArgument: 3, deadlineExceeded: 4, notFound: 5, unavailable: 14 } as const;

type GrpcError = Error & { readonly code: number; readonly details: string };

/** The server's own answer inside what the client made of it. */
export function findGrpcError(error: unknown): GrpcError | undefined {
  if (isGrpcServiceError(error)) return error;
  return error instanceof Error && error.cause !== undefined ? findGrpcError(error.cause) : undefined;
}

/** gRPC's words for a server that is not there, or not yet. */
export function isUnreachable(error: unknown): boolean {
  const code: number | undefined = findGrpcError(error)?.code;
  const text = `${messageOf(error)} ${error instanceof Error ? messageOf(error.cause) : ''}`;
  return (
    code === GRPC.unavailable ||
    code === GRPC.deadlineExceeded ||
    /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|UNAVAILABLE|DEADLINE|Failed to connect|transport error|Connect(ion)? (Error|refused)|before the deadline/i.test(
      text,
    )
  );
}

export function toTemporalError(error: unknown, address: string): unknown {
  if (error instanceof SluiceError) return error;
  if (isUnreachable(error)) {
    return new SluiceError('TEMPORAL_UNREACHABLE', `No Temporal server answers at ${address}.`, {
      remedy:
        'Start one (npm run infra:up, or temporal server start-dev), or name another with TEMPORAL_ADDRESS; without a server, sluice run works in this process.',
      retryable: true,
      cause: error,
    });
  }
  return new SluiceError(
    'TEMPORAL_REFUSED',
    `The Temporal server at ${address} refused: ${findGrpcError(error)?.details ?? messageOf(error)}.`,
    {
      remedy:
        'Check TEMPORAL_NAMESPACE, TEMPORAL_API_KEY and the rights of this client; docs/errors.md#temporal_refused says more.',
      cause: error,
    },
  );
}
