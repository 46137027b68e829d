import type { Dialling } from './wire/exchange.ts';
import type { ParamRules } from './params.ts';

/** What any backend over HTTP is opened with. */
export interface BackendSettings {
  name: string;
  /** The base URL, with or without `/v1`. */
  url: string;
  /** What `warmup` loads. */
  model?: string | undefined;
  /** Asked before each request, so that a key file may be changed under a running worker. */
  readKey?: (() => Promise<string | undefined>) | undefined;
  /** How a caller's parameters are changed for this backend. */
  params?: ParamRules | undefined;
  /** Silence after which `complete` and `stream` give up; `forward` is told by its call. */
  stallMs?: number | undefined;
  /** How the backend is dialled: its own certificate authority, a check of the address. */
  dialling?: Dialling | undefined;
}
