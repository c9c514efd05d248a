"""An application that imports a package which the image does not have."""

import a_package_nobody_installed  # noqa: F401
