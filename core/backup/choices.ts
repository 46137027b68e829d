/** What becomes of secrets in a backup. Words alone are here: the command line says them without loading a schema. */
export const secretsKept = ['wrapped', 'portable', 'none'] as const;
export type SecretsKept = (typeof secretsKept)[number];

/** What becomes of a document of which there is another. */
export const onConflict = ['fail', 'skip', 'replace'] as const;
