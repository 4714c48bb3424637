"""The pages, one area a module. Each module offers `ROUTES`; `steelyard.web.app` lists the modules."""
