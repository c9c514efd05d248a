"""An application that imports a package which the image does not have."""

import a_package_nobody_installed  # type: ignore[import-not-found]  # noqa: F401
