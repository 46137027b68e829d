/** How OpenSSL and node say that a chain of certificates ends at nobody who is trusted here. */
export const untrusted: ReadonlySet<string> = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_UNTRUSTED',
]);

/** The certificate is for another name than the one that was called. */
export const wrongName = 'ERR_TLS_CERT_ALTNAME_INVALID';
