/** What migration 0027 makes, and nobody deletes. `everyone` as a document may be changed, and deleted, like any other. */
export const builtIn = {
  everyone: '00000000-0000-7000-8000-000000000001',
  admins: '00000000-0000-7000-8000-000000000002',
  rbacAdmins: '00000000-0000-7000-8000-000000000004',
} as const;
