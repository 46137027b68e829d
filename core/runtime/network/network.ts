import { EnvHttpProxyAgent, type Dispatcher } from 'undici';
import { McpctlError, messageOf } from '../../errors.ts';
import { readPlainFile } from '../files/plain-file.ts';
import { untrusted, wrongName } from './trust.ts';

/** As the settings say it. */
export interface NetworkOptions {
  httpProxy?: string | undefined;
  httpsProxy?: string | undefined;
  noProxy?: string | undefined;
  /** A PEM file with further certificate authorities, e.g. of a proxy that looks into TLS. */
  caFile?: string | undefined;
  /** What node itself reads; given again because an explicit list replaces it. */
  nodeCaFile?: string | undefined;
}

/** How connections are kept. */
interface Keeping {
  /** Whether one is used again; no, so that a new stream is not opened at an edge that is just leaving. */
  reuse?: boolean;
  /** How long an answer may be silent, in milliseconds; as long as it likes: whoever opens one watches it. */
  silenceMs?: number;
}

/** The way from this machine to the edge, and only to it: calls to backends never go through a proxy. */
export interface Network {
  dispatcher: Dispatcher;
  /** Whether it leads to `url` without a proxy. */
  direct(url: URL): boolean;
  /** Why a call to `url` failed, as a sentence with what to do about it; without user or password of a proxy. */
  trouble(url: URL, thrown: unknown): string;
}

const CONNECT_MS = 10_000;

/** @throws McpctlError `invalid_config` when a proxy's URL or the CA file cannot be used. */
export function openNetwork(
  options: NetworkOptions = {},
  { reuse = false, silenceMs = 0 }: Keeping = {},
): Network {
  const { httpProxy = '', httpsProxy = '', noProxy = '' } = options;
  for (const [name, url] of Object.entries({ HTTP_PROXY: httpProxy, HTTPS_PROXY: httpsProxy }))
    checkProxy(name, url);
  const ca = authorities(options);
  const tls = { timeout: CONNECT_MS, ...(ca ? { ca } : {}) };
  const dispatcher = new EnvHttpProxyAgent({
    httpProxy,
    httpsProxy,
    noProxy,
    pipelining: reuse ? 1 : 0,
    headersTimeout: 0,
    bodyTimeout: silenceMs,
    connect: tls,
    requestTls: tls,
    proxyTls: tls,
  });
  const proxyFor = (url: URL): { name: string; at: string } | null => {
    const name = url.protocol === 'https:' && httpsProxy !== '' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
    const proxy = name === 'HTTPS_PROXY' ? httpsProxy : httpProxy;
    return proxy === '' || isExempt(url, noProxy) ? null : { name, at: new URL(proxy).host };
  };
  return {
    dispatcher,
    direct: (url) => proxyFor(url) === null,
    trouble: (url, thrown) => sentence({ url, proxy: proxyFor(url), thrown }),
  };
}

function checkProxy(name: string, text: string): void {
  if (text === '') return;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // The text itself may hold a password: it is not repeated.
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    throw new McpctlError('invalid_config', `${name} must be like http://proxy.example:8080.`);
}

function authorities({ caFile, nodeCaFile }: NetworkOptions): string[] | undefined {
  if (caFile === undefined) return undefined;
  const read = (path: string, setting: string): string => {
    let pem = '';
    try {
      pem = readPlainFile(path);
    } catch (thrown) {
      throw new McpctlError('invalid_config', `${setting} cannot be read: ${messageOf(thrown)}.`);
    }
    if (!pem.includes('-----BEGIN CERTIFICATE-----'))
      throw new McpctlError('invalid_config', `${setting} (${path}) holds no certificate in PEM form.`);
    return pem;
  };
  const more = nodeCaFile === undefined ? [] : [read(nodeCaFile, 'NODE_EXTRA_CA_CERTS')];
  // Asked here alone: to import the name is to make all of them, half a megabyte that is seldom wanted.
  const { rootCertificates } = process.getBuiltinModule('node:tls');
  return [...rootCertificates, read(caFile, 'MCPCTL_CA_FILE'), ...more];
}

/** As undici reads NO_PROXY: names and suffixes, `*` for all, a port after a colon. */
function isExempt({ hostname, port, protocol }: URL, noProxy: string): boolean {
  const ownPort = port === '' ? (protocol === 'https:' ? '443' : '80') : port;
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => {
      if (entry === '*') return true;
      const [, name = '', only] = /^(.+?)(?::(\d+))?$/.exec(entry) ?? [];
      if (only !== undefined && only !== ownPort) return false;
      const suffix = name.replace(/^\*?\./, '');
      return hostname === suffix || hostname.endsWith(`.${suffix}`);
    });
}

interface Trouble {
  url: URL;
  proxy: { name: string; at: string } | null;
  thrown: unknown;
}

function sentence({ url, proxy, thrown }: Trouble): string {
  const cause = rootCause(thrown);
  const code = codeOf(cause);
  const at = url.origin;
  if (untrusted.has(code)) {
    return (
      `The certificate of ${at} is not trusted on this machine (${code}). If your company's proxy or server has a ` +
      'certificate authority of its own, save its certificate as a PEM file and name that in MCPCTL_CA_FILE.'
    );
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return `The certificate of ${at} is not valid now (${code}): renew it there, or set the clock of this machine.`;
  if (code === wrongName)
    return `The certificate of ${at} is for another name: correct the address where it is said (--server, or mcpdUrl in the credentials).`;
  if (proxy) return ofProxy({ proxy, at, cause, host: url.hostname });
  return `The edge at ${at} cannot be reached: ${messageOf(cause) || code}.`;
}

function ofProxy({
  proxy: { name, at: proxyAt },
  at,
  cause,
  host,
}: {
  proxy: { name: string; at: string };
  at: string;
  cause: unknown;
  host: string;
}): string {
  const status = /Proxy response \((\d+)\)/.exec(messageOf(cause))?.[1];
  if (status === '407') {
    return (
      `The proxy at ${proxyAt} wants a user and a password: write them into ${name}, as in ` +
      'http://user:password@proxy.example:8080.'
    );
  }
  if (status !== undefined) {
    return (
      `The proxy at ${proxyAt} answered HTTP ${status} and does not connect to ${at}: have it allow that, or put ` +
      `${host} into NO_PROXY.`
    );
  }
  const why = codeOf(cause) || messageOf(cause);
  return (
    `The edge at ${at} cannot be reached through the proxy at ${proxyAt}: ${why}. Check ${name}, or put ${host} into ` +
    'NO_PROXY.'
  );
}

/** What really went wrong: undici and node wrap it, several addresses that were tried as well. */
function rootCause(thrown: unknown): unknown {
  let at = thrown;
  for (let depth = 0; depth < 5; depth++) {
    if (at instanceof AggregateError && at.errors.length > 0) at = at.errors[0];
    else if (at instanceof Error && at.cause instanceof Error) at = at.cause;
    else break;
  }
  return at;
}

function codeOf(thrown: unknown): string {
  const code = thrown instanceof Error ? (thrown as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' ? code : '';
}
