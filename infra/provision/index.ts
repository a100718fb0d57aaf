export {
  type BringUpOptions,
  bringUp,
  forget,
  type RunningServer,
  readRecord,
  type ServerPlace,
  type ServerRecord,
  type ServerSpec,
} from './background-server.ts';
export { findTool, type Tool } from './find-tool.ts';
export { findTools } from './find-tools.ts';
export { type InfraState, infraDown, infraStatus, infraUp } from './infra.ts';
export { endServerNow, isSameProcess, startOf } from './processes.ts';
export {
  createTemporalNamespace,
  deleteTemporalNamespace,
  ensureBucket,
  minioServer,
  S3_ACCESS_KEY_ID,
  S3_SERVERS,
  type S3ServerName,
  SEARCH_ATTRIBUTES,
  s3Endpoint,
  temporalServer,
  versitygwServer,
} from './server-specs.ts';
export { TOOL_NAMES, TOOL_PINS, type ToolName, type ToolPin } from './tool-pins.ts';
