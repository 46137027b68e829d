import { ownPackage } from '../../core/runtime/files/own-package.ts';
import { openApiDocument } from './document.ts';

/** `npm run openapi` writes docs/openapi.json, which a test compares with what is served. */
process.stdout.write(`${JSON.stringify(openApiDocument(ownPackage().version), null, 2)}\n`);
