/* The page's own files, as the build puts them into the program (base/embed.cmake). */
#ifndef RETC_MAIN_HTML_ASSETS_H
#define RETC_MAIN_HTML_ASSETS_H

extern const char retc_html_asset_page[], retc_html_asset_style[], retc_html_asset_script[];

#endif
