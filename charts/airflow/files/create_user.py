"""Make sure that Airflow's administrator exists and has the password of the Secret.

Run by the Job `airflow-create-user`. The password comes by the environment and goes to the database's layer directly:
`airflow users create` would take it as an argument, which everybody who may list processes can read.
"""

import os
import sys

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder


def main() -> None:
    username, password = os.environ["ADMIN_USERNAME"], os.environ["ADMIN_PASSWORD"]
    if not username or not password:
        sys.exit("the Secret has no name or no password for the administrator")
    with get_application_builder() as builder:
        manager = builder.sm
        role = manager.find_role(os.environ["ADMIN_ROLE"])
        if role is None:
            sys.exit(f"there is no role {os.environ['ADMIN_ROLE']!r}")
        user = manager.find_user(username=username)
        if user is not None:
            manager.reset_password(user.id, password)
            print(f"the password of {username} is that of the Secret")
            return
        names = os.environ["ADMIN_FIRST_NAME"], os.environ["ADMIN_LAST_NAME"]
        if not manager.add_user(username, *names, os.environ["ADMIN_EMAIL"], role, password):
            sys.exit(f"the user {username} could not be made; is the address in use?")
        print(f"{username} was made")


if __name__ == "__main__":
    main()
