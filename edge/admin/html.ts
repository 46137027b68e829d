import type { Response } from 'express';

/** A stylesheet of another host, and the placeholder with inline styles that the policy forbids. */
const outside = /<link href="https?:[^>]*>/g;
const placeholder = /<div id="root">[\s\S]*?<\/style>\s*<\/div>/;

/** Instead of it: hides the controls of what is not offered (offered.ts), which Bull Board has no setting for. */
const ownStyle = '<link rel="stylesheet" href="/admin/board.css">';

export const boardStylesheet = `
[role=menuitem]:has(.lucide-plus), [role=menuitem]:has(.lucide-chart-no-axes-gantt), [role=menuitem]:has(.lucide-ban),
button:has(.lucide-files), button:has(.lucide-pencil) { display: none; }
`;

/**
 * The board's page as it is sent: it names a font service of another host, which a machine without internet would
 * wait for, and which would learn who looks; the policy would refuse it anyway.
 */
export function withoutOutsiders(res: Response): void {
  const send = res.send.bind(res);
  res.send = (body?: unknown): Response => {
    const isPage = typeof body === 'string' && body.startsWith('<!DOCTYPE html>');
    return send(
      isPage ? body.replace(outside, ownStyle).replace(placeholder, '<div id="root"></div>') : body,
    );
  };
}
